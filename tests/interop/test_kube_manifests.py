"""contrib/kubernetes: what kustomize makes of it, what a real API server says to that, and what the account may do then."""
import glob
import os
import re
import shutil

from kube import ACCOUNT, KubeServer
from kube_client import ApiError, documents, endpoint_slice, node, path_of, review, service
from lab import ROOT, LabError, Skip, run
from runner import cases, endurance, feature
from underlay import UNDERLAYD, to_yaml

CONTRIB = os.path.join(ROOT, "contrib/kubernetes")
READ = ("get", "list", "watch")
WRITE = ("create", "update", "patch", "delete", "deletecollection")
KINDS = {"nodes": "", "services": "", "endpointslices": "discovery.k8s.io"}
OTHERS = {"pods": "", "secrets": "", "configmaps": "", "namespaces": "", "endpoints": "", "serviceaccounts": "",
          "clusterroles": "rbac.authorization.k8s.io", "leases": "coordination.k8s.io", "daemonsets": "apps"}
# What every Debian has.
EVERYWHERE = {"libc6"}


def kustomize(directory):
    if not shutil.which("kubectl"):
        raise Skip("no kubectl: tests/install-deps.sh kubernetes")
    return run(["kubectl", "kustomize", directory], env={**os.environ, "KUBECONFIG": os.devnull}).stdout


def with_readiness(lab):
    """What a user's directory has who wants it. kubectl knows components of kustomize from 1.21 on; before, what is in it."""
    directory = os.path.join(lab.dir, "mine")
    os.mkdir(directory)
    where = lambda name: os.path.relpath(os.path.join(CONTRIB, name), directory)
    lab.write("mine/kustomization.yaml", to_yaml({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "namespace": "kube-system",
        "resources": [where("base")], "components": [where("readiness")],
        "images": [{"name": "underlay", "newName": "registry.example.org/underlay", "newTag": "0.4"}],
        "configMapGenerator": [{"name": "underlay", "behavior": "replace", "files": ["underlay.yaml"]}]}))
    shutil.copy(os.path.join(CONTRIB, "base/underlay.yaml"), directory)
    try:
        return kustomize(directory)
    except LabError as error:
        if "components" not in str(error):
            raise
        with open(os.path.join(CONTRIB, "readiness/rbac.yaml")) as file:
            return file.read()


def pod_of(daemonset):
    """A pod as the DaemonSet's controller would make it."""
    template = daemonset["spec"]["template"]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": "underlay-n1", "namespace": "kube-system"},
            "spec": {**template["spec"], "nodeName": "n1"}}


@cases(timeout=180)
@feature("Kubernetes: manifests and rights")
def test_a_real_api_server_takes_the_manifests(lab):
    text = kustomize(os.path.join(CONTRIB, "base"))
    master, other = lab.node("master"), lab.node("other")
    link = lab.link(master, other)
    kube = KubeServer(master, link.a4)
    kube.start()
    api = kube.api
    api.apply(text, dry_run=True)
    api.apply(text)
    assert {d.place for d in documents(text)} == {
        ("serviceaccounts", "underlay", "kube-system"), ("clusterroles", "underlay", "default"),
        ("clusterrolebindings", "underlay", "default"), ("configmaps", "underlay", "kube-system"),
        ("daemonsets", "underlay", "kube-system")}, "other objects than those that the README names"
    api.create(node("n1", ["10.244.1.0/24"]), service("web"), endpoint_slice("web-1", "web", []))
    pod = api.create(pod_of(api.get("daemonsets", "underlay", "kube-system")))["spec"]
    (container,) = pod["containers"]
    assert pod["hostNetwork"] and pod["priority"] > 10 ** 9 and not container["securityContext"]["privileged"]
    account = kube.client(other, token=kube.token())
    rights_of_the_account(account)
    api.apply(with_readiness(lab))
    assert review(account, "patch", "nodes") and review(account, "patch", "nodes", sub="status")
    assert not review(account, "update", "nodes") and not review(account, "patch", "services")
    account.patch("nodes", "n1", {"spec": {"taints": None}})
    account.patch_status("nodes", "n1", {"conditions": [{"type": "NetworkUnavailable", "status": "False"}]})


def rights_of_the_account(account):
    """Asked of the API server's own word, and tried."""
    for kind, group in KINDS.items():
        assert all(review(account, verb, kind, group) for verb in READ), kind
        assert not any(review(account, verb, kind, group) for verb in WRITE), kind
        assert not review(account, "patch", kind, group, sub="status"), kind
        assert account.get(kind, namespace=None)["items"], kind
    assert account.request("GET", f"{path_of('endpointslices', namespace=None)}?watch=1&timeoutSeconds=1")[0] == 200
    for kind, group in OTHERS.items():
        assert not any(review(account, verb, kind, group) for verb in READ + WRITE), kind
    attempts = (lambda: account.get("pods", namespace="kube-system"), lambda: account.get("secrets", namespace=None),
                lambda: account.create(service("mine")), lambda: account.delete("services", "web"),
                lambda: account.patch("nodes", "n1", {"spec": {"unschedulable": True}}),
                lambda: account.patch_status("nodes", "n1", {}), lambda: account.get("configmaps", "underlay", ACCOUNT[0]))
    for attempt in attempts:
        assert status_of(attempt) == 403


def status_of(attempt):
    try:
        attempt()
    except ApiError as error:
        return error.status
    return 200


@endurance  # of the program as it is shipped
def test_the_image_has_what_the_program_is_linked_with(lab):
    with open(os.path.join(CONTRIB, "Dockerfile")) as file:
        text = file.read()
    stages = text.split("\nFROM ")
    install = run(["make", "-C", ROOT, "-n", "install", "DESTDIR=/out", "PREFIX=/usr"]).stdout.split()
    for path in re.findall(r"--from=build (/out/\S+)", text):
        assert path in install, f"{path} is not installed"
    packages = set(re.findall(r"\blib[a-z0-9.+-]+", re.search(r"install -y.*?&&", stages[-1], re.S)[0]))
    linked = re.findall(r"NEEDED.*\[(.*)\]", run(["readelf", "-d", UNDERLAYD]).stdout)
    loaded = set(re.findall(rb"lib[a-z_0-9-]+\.so\.[0-9.]+|libevent_[a-z]+-2\.1\.so\.7", open(UNDERLAYD, "rb").read()))
    for name in {*linked, *(n.decode() for n in loaded)}:
        owners = {line.split(":")[0] for line in run(["dpkg", "-S", f"*/{name}"], check=False).stdout.splitlines()}
        assert owners & (packages | EVERYWHERE), f"{name} of {owners} is not in the image"


def test_every_file_of_the_manifests_is_used(lab):
    for directory in ("base", "readiness"):
        with open(os.path.join(CONTRIB, directory, "kustomization.yaml")) as file:
            named = set(re.findall(r"^ *- ([\w.-]+\.yaml)$", file.read(), re.M))
        there = {os.path.basename(p) for p in glob.glob(os.path.join(CONTRIB, directory, "*"))}
        assert there == named | {"kustomization.yaml"}, there ^ named
