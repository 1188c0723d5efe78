"""A real API server: etcd and kube-apiserver in a node of the lab, ready in a few seconds, and nothing else of a cluster.

No controllers run, no kubelet: a test writes Nodes, EndpointSlices and load balancers' addresses itself (kube_client.py). The
program is $KUBE_APISERVER, or kube-apiserver in PATH, or build/kube/kube-apiserver, which `make kube-apiserver` builds; without
one, tests are skipped and say so. Any version from 1.20 on will do: of what newer ones have, the oldest lacks the fields
loadBalancerClass, internalTrafficPolicy and ipMode (for those see fakekube.py), and EndpointSlices of version v1, which a
resource definition stands in for.
"""
import base64
import functools
import http.client
import json
import os
import shutil
import signal
import socket

import kube_pki
import netns
from kube_client import Client
from lab import ROOT, SLOW, LabError, Skip, run, wait_for
from kube_pki import Pki

PORT, ETCD, ETCD_PEER = 6443, 2379, 2380
SERVICES4, SERVICES6 = "10.96.0.0/16", "fd00:10:96::/112"
BASE = os.path.join(ROOT, "contrib/kubernetes/base")
ACCOUNT = ("kube-system", "underlay")
SLICES_OF_1_20 = os.path.join(ROOT, "tests/kube/endpointslice-crd.yaml")
ETCD_PREFIX = "/registry"
PLURALS = {"Node": "nodes", "Service": "services", "EndpointSlice": "endpointslices"}
PLACES = {"nodes": "minions", "services": "services/specs", "endpointslices": "endpointslices"}
MOST_OPS = 100  # of one transaction; etcd takes 128
# Plugins that count on a controller: one gives a taint to a new node that none would take away.
NOBODY = ("ServiceAccount", "TaintNodesByCondition")
# What the oldest server is started with, the one that there is to build. It has no version v1 of EndpointSlices, and dual stack
# has to be asked for. Without all that no test wants, it starts in a third of the time.
GROUPS = ("api/v1", "apps/v1", *(f"{group}.k8s.io/v1" for group in (
    "apiextensions", "apiregistration", "authentication", "authorization", "coordination", "rbac.authorization", "scheduling")))
NO_PLUGINS = (*NOBODY, "RuntimeClass", "DefaultStorageClass", "StorageObjectInUseProtection", "PersistentVolumeClaimResize",
              "DefaultIngressClass", "CertificateApproval", "CertificateSigning", "CertificateSubjectRestriction",
              "MutatingAdmissionWebhook", "ValidatingAdmissionWebhook")
OLDEST = ("--feature-gates=IPv6DualStack=true", "--enable-priority-and-fairness=false",
          f"--disable-admission-plugins={','.join(NO_PLUGINS)}",
          f"--runtime-config=api/all=false,discovery.k8s.io/v1beta1=false,{','.join(f'{group}=true' for group in GROUPS)}")
NEWER = (f"--disable-admission-plugins={','.join(NOBODY)}",)


@functools.cache
def programs():
    """Paths of kube-apiserver and etcd. Skip where there are none."""
    server = (os.environ.get("KUBE_APISERVER") or shutil.which("kube-apiserver") or os.path.join(ROOT, "build/kube/kube-apiserver"))
    if not os.access(server, os.X_OK):
        raise Skip("no kube-apiserver: KUBE_APISERVER=PATH, or build one by `make kube-apiserver`")
    etcd = shutil.which("etcd")
    if not etcd:
        raise Skip("no etcd: Debian's package is etcd-server")
    return server, etcd


@functools.cache
def version():
    """(1, 20)"""
    text = run([programs()[0], "--version"]).stdout.split()[-1].lstrip("v")
    return tuple(int(part) for part in text.split(".")[:2])


class KubeServer:
    """address: the node's, at which others reach it. options: words for kube-apiserver."""

    def __init__(self, node, address, *options):
        self.server, self.etcd_program = programs()
        self.node, self.lab, self.address, self.options = node, node.lab, address, options
        self.dir = os.path.join(self.lab.dir, f"{node.name}-kube")
        self.url = f"https://{f'[{address}]' if ':' in address else address}:{PORT}"
        self.pki = Pki(self.dir)
        self.pki.server("apiserver", address)
        self.pki.token_key()
        cert, key = self.pki.client("admin", "system:masters")
        self.admin = cert, key
        self.api = Client(node, address, PORT, self.pki.ca, cert, key)
        self.etcd = self.process = None

    def path(self, name):
        return os.path.join(self.dir, name)

    def start(self):
        """All of it, with the account and the role that the daemon has in a cluster."""
        self.start_etcd()
        self.start_server()
        self.prepare()
        return self

    def start_etcd(self):
        here, peer = f"http://127.0.0.1:{ETCD}", f"http://127.0.0.1:{ETCD_PEER}"
        self.etcd = self.node.start(
            self.etcd_program, "--name", "lab", "--data-dir", self.path("etcd"), "--unsafe-no-fsync", "--log-level", "warn",
            "--listen-client-urls", here, "--advertise-client-urls", here, "--listen-peer-urls", peer,
            "--initial-advertise-peer-urls", peer, "--initial-cluster", f"lab={peer}")

    def launch(self):
        """The API server alone, without waiting for it."""
        pki = self.pki
        self.process = self.node.start(
            self.server, "--bind-address=0.0.0.0", f"--secure-port={PORT}", f"--advertise-address={self.address}",
            "--endpoint-reconciler-type=none", f"--etcd-servers=http://127.0.0.1:{ETCD}", f"--cert-dir={self.path('run')}",
            f"--tls-cert-file={pki.path('apiserver.crt')}", f"--tls-private-key-file={pki.path('apiserver.key')}",
            f"--client-ca-file={pki.ca}", f"--service-account-key-file={pki.path('sa.pub')}",
            f"--service-account-signing-key-file={pki.path('sa.key')}", f"--service-account-issuer={kube_pki.ISSUER}",
            f"--api-audiences={kube_pki.ISSUER}", "--authorization-mode=RBAC", "--anonymous-auth=false",
            f"--service-cluster-ip-range={SERVICES4},{SERVICES6}", "--service-node-port-range=1024-65000",
            *(OLDEST if version() < (1, 21) else NEWER), *self.options)

    def start_server(self):
        self.launch()
        wait_for(self._ready, 120, "the API server is ready", every=0.1)

    def _ready(self):
        for process in (self.etcd, self.process):
            if not process.alive:
                raise SystemError(f"{process.argv[0]} ended:\n{process.output()[-2000:]}")
        return self.api.request("GET", "/readyz") == (200, "ok")

    def stop_server(self, number=signal.SIGTERM):
        """etcd stays. SIGTERM ends open watches in good order; SIGKILL does not."""
        self.api.close()
        self.process.stop(number)

    def kill_server(self):
        self.stop_server(signal.SIGKILL)

    def prepare(self):
        if version() < (1, 21):
            with open(SLICES_OF_1_20) as file:
                self.api.apply(file.read())
            wait_for(lambda: "items" in self.api.get("endpointslices"), 20, "EndpointSlices are served")
        # Kubernetes has these namespaces a second or so after it is ready; what is in them wants them there.
        for name in ("default", "kube-system"):
            wait_for(lambda: self.api.request("GET", f"/api/v1/namespaces/{name}")[0] == 200, 20, f"namespace {name}")
        for name in ("serviceaccount.yaml", "rbac.yaml"):
            with open(os.path.join(BASE, name)) as file:
                self.api.apply(file.read())

    def token(self, seconds=3600, account=ACCOUNT):
        """Of a service account, valid for so long by what it says: the server takes it for kube_pki.LEEWAY longer."""
        namespace, name = account
        uid = self.api.get("serviceaccounts", name, namespace)["metadata"]["uid"]
        return self.pki.token(namespace, name, uid, seconds)

    def client(self, node=None, **keys):
        """Another client than the admin: of another account, from another node."""
        return Client(node or self.node, self.address, PORT, self.pki.ca, **keys)

    def kubeconfig(self, name="kubeconfig", token=None, ca=None):
        """Files for a daemon: the path of the kubeconfig, which names NAME.token beside it."""
        token_file = kube_pki.write_token(self.path(f"{name}.token"), token or self.token())
        return kube_pki.kubeconfig(self.path(name), self.url, ca or self.pki.ca, token_file=token_file)

    def admin_kubeconfig(self):
        """For kubectl, and whoever may do anything."""
        return kube_pki.kubeconfig(self.path("admin.kubeconfig"), self.url, self.pki.ca, cert=self.admin[0], key=self.admin[1])

    def write_token(self, token, name="kubeconfig"):
        """Rotates what kubeconfig() wrote."""
        kube_pki.write_token(self.path(f"{name}.token"), token)

    def _etcd(self, *calls):
        """Calls through etcd's HTTP gateway, one after the other: (path, body) each; the last answer."""
        connection = http.client.HTTPConnection("127.0.0.1", ETCD, timeout=20 * SLOW)
        with netns.inside(self.node.netns):
            connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for path, body in calls:
            connection.request("POST", path, json.dumps(body))
            answer = json.loads(connection.getresponse().read())
            if "error" in answer:
                raise LabError(f"etcd {path}: {answer['error']}")
        connection.close()
        return answer

    def compact(self):
        """What etcd knows of the past goes: a watch or a list from an older resourceVersion is answered by 410."""
        revision = self._etcd(("/v3/kv/range", {"key": _base64("/")}))["header"]["revision"]
        self._etcd(("/v3/kv/compaction", {"revision": revision, "physical": True}))

    def bulk(self, objects, watched=False):
        """Many objects at once, past the API server, as it would have stored them; it serves them and tells its watches. They
        have to be complete: no address is allotted, nothing defaulted. 10,000 take seconds and not a minute.

        Where somebody watches them (watched), each has a resourceVersion of its own, as any change has: a watch that is taken up
        again from one goes on behind all that has it."""
        operations = [{"key": _base64(self._key(PLURALS[one["kind"]], one["metadata"])), "value": _base64(json.dumps(one))}
                      for one in objects]
        if watched:
            self._etcd(*[("/v3/kv/put", put) for put in operations])
        else:
            self._transact([{"requestPut": put} for put in operations])

    def bulk_delete(self, plural, objects):
        self._etcd(*[("/v3/kv/deleterange", {"key": _base64(self._key(plural, one["metadata"]))}) for one in objects])

    def _key(self, plural, metadata):
        """Where etcd has it; what a resource definition stands for is below its group."""
        space = f"{metadata['namespace']}/" if "namespace" in metadata else ""
        group = "discovery.k8s.io/" if plural == "endpointslices" and version() < (1, 21) else ""
        return f"{ETCD_PREFIX}/{group}{PLACES[plural]}/{space}{metadata['name']}"

    def _transact(self, operations):
        self._etcd(*[("/v3/kv/txn", {"success": operations[i:i + MOST_OPS]}) for i in range(0, len(operations), MOST_OPS)])


def _base64(text):
    return base64.b64encode(text.encode()).decode()
