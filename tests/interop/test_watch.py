"""watch: true. The file changes as the kubelet changes a ConfigMap, in a directory that only root may look into."""
import os

from lab import never_during, wait_for
from runner import feature
from topology import PODS, TOR_AS
from underlay import Underlay, to_yaml, tor


class ConfigMap:
    """A directory of ..<time> directories, ..data that names one of them, and links to the files through it."""

    def __init__(self, lab, underlay):
        self.dir, self.underlay, self.count = os.path.join(lab.dir, "configmap"), underlay, 0
        os.mkdir(self.dir, 0o700)
        os.symlink("..data/underlay.yaml", os.path.join(self.dir, "underlay.yaml"))
        underlay.config_path = os.path.join(self.dir, "underlay.yaml")
        underlay.write = lambda: None if self.count else self.update()

    def update(self, text=None):
        self.count += 1
        os.mkdir(os.path.join(self.dir, f"..{self.count}"), 0o700)
        with open(os.path.join(self.dir, f"..{self.count}", "underlay.yaml"), "w") as f:
            f.write(text or to_yaml(self.underlay.config))
        fresh = os.path.join(self.dir, "..data_tmp")
        os.symlink(f"..{self.count}", fresh)
        os.rename(fresh, os.path.join(self.dir, "..data"))


@feature("Configuration: reload by watch")
def test_a_config_map_that_changes_is_reloaded(lab):
    node = lab.node("node")
    node.address("lo", "10.9.0.1/24")
    underlay = Underlay(node, [tor("10.9.0.2", asn=TOR_AS, description="one")], advertise=PODS, watch=True)
    files = ConfigMap(lab, underlay)
    underlay.start()
    speaker = underlay.speaker()

    def description():
        return underlay.neighbor()["nbrDesc"]

    assert description() == "one"
    for text in ("two", "three"):
        underlay.config["peers"][0]["description"] = text
        files.update()
        wait_for(lambda: description() == text, what=f"the configuration with {text}")
    files.update("router: {asn: 0}\n")
    refused = "reload refused"
    wait_for(lambda: refused in underlay.process.output(), what="the bad file is refused")
    never_during(lambda: underlay.process.output().count(refused) > 1, 1.5, "told twice")
    assert description() == "three" and underlay.speaker() == speaker
    underlay.config["peers"][0]["description"] = "four"
    underlay.config["watch"] = False
    files.update()
    wait_for(lambda: description() == "four", what="the good one after it")
    underlay.config["peers"][0]["description"] = "five"
    files.update()
    never_during(lambda: description() != "four", 1.5, "a reload without watch")
