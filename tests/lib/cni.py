"""A container runtime as far as CNI is concerned: runs the real plugins of a configuration list, one after the other.

    runtime = Runtime(node, "/…/10-underlay.conflist")
    pod = runtime.pod("web")        # a namespace with an interface; pod.addresses is what the plugins gave it

$CNI_PATH says where the plugins are; Debian's containernetworking-plugins by default. What host-local remembers is kept in
the lab's directory.
"""
import json
import os
import re

from lab import LabError
import netns

PLUGINS = os.environ.get("CNI_PATH", "/usr/lib/cni")
UNREACHABLE = re.compile(r"unreachable|no route", re.IGNORECASE)


class Runtime:
    def __init__(self, node, path):
        if not os.path.exists(os.path.join(PLUGINS, "host-local")):
            raise LabError(f"no CNI plugins in {PLUGINS}: tests/install-deps.sh check")
        self.node, self.path = node, path
        self.data = os.path.join(node.lab.dir, f"{node.name}-leases")

    def network(self):
        with open(self.path) as file:
            return json.load(file)

    def _call(self, command, pod, plugin, network, result):
        config = {**plugin, "cniVersion": network["cniVersion"], "name": network["name"]}
        if "ipam" in config:
            config["ipam"] = {**config["ipam"], "dataDir": self.data}
        if result:
            config["prevResult"] = result
        env = {"PATH": os.environ["PATH"], "CNI_COMMAND": command, "CNI_CONTAINERID": pod.netns, "CNI_IFNAME": "eth0",
               "CNI_NETNS": os.path.join(netns.DIRECTORY, pod.netns), "CNI_PATH": PLUGINS}
        done = self.node.run(os.path.join(PLUGINS, plugin["type"]), input=json.dumps(config), env=env, check=False)
        if done.returncode:
            raise LabError(f"{plugin['type']} {command}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def pod(self, name):
        """A new namespace with the interface that the plugins give it."""
        pod, network, result = Pod(self, name), self.network(), None
        for plugin in network["plugins"]:
            result = self._call("ADD", pod, plugin, network, result)
        pod.result = result
        pod.addresses = {("ipv6" if ":" in ip["address"] else "ipv4"): ip["address"].split("/")[0] for ip in result["ips"]}
        return pod

    def remove(self, pod):
        network = self.network()
        for plugin in reversed(network["plugins"]):
            self._call("DEL", pod, plugin, network, pod.result)


class Pod:
    def __init__(self, runtime, name):
        self.node = runtime.node.lab.node(name)
        self.netns = self.node.netns
        self.result, self.addresses = None, {}

    def ping(self, address, count=1, wait=5):
        """What ping says, and whether an answer came."""
        done = self.node.run("ping", "-n", "-c", count, "-W", wait, address, check=False, timeout=30)
        return done.returncode == 0, done.stdout + done.stderr

    def told_unreachable(self, address, by, wait=5):
        """A router says that there is no such pod; the packet does not go round until its TTL is used up."""
        answered, said = self.ping(address, wait=wait)
        return not answered and bool(UNREACHABLE.search(said)) and f"From {by} " in said
