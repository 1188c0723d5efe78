"""A client of the API server, as kubectl is one, but without a program for each call: a test changes things and knows when.

    api = Client(node, "10.0.9.1", ca=pki.ca, cert=..., key=...)
    api.create(service("web", "LoadBalancer")); api.patch("services", "web", {...}); api.delete("services", "web")

Objects are dicts as in JSON, or YAML text for what is in files. Everything is in the namespace default unless it says another
one. It connects from within a node of the lab, and keeps the connection.
"""
import copy
import http.client
import json
import re
import socket
import ssl

import netns
from lab import LabError, SLOW

# kind: (where, plural, in a namespace)
KINDS = {
    "Node": ("/api/v1", "nodes", False), "Namespace": ("/api/v1", "namespaces", False),
    "Service": ("/api/v1", "services", True), "ServiceAccount": ("/api/v1", "serviceaccounts", True),
    "ConfigMap": ("/api/v1", "configmaps", True), "Pod": ("/api/v1", "pods", True), "Secret": ("/api/v1", "secrets", True),
    "DaemonSet": ("/apis/apps/v1", "daemonsets", True),
    "EndpointSlice": ("/apis/discovery.k8s.io/v1", "endpointslices", True),
    "ClusterRole": ("/apis/rbac.authorization.k8s.io/v1", "clusterroles", False),
    "ClusterRoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "clusterrolebindings", False),
    "CustomResourceDefinition": ("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions", False),
}
BY_PLURAL = {row[1]: row for row in KINDS.values()}
MERGE, STRATEGIC, APPLY = (f"application/{kind}+{form}" for kind, form in
                           (("merge-patch", "json"), ("strategic-merge-patch", "json"), ("apply-patch", "yaml")))


class ApiError(LabError):
    def __init__(self, status, body, what):
        super().__init__(f"{what}: HTTP {status}: {body.get('message', body) if isinstance(body, dict) else body}")
        self.status, self.body = status, body


def path_of(plural, name=None, namespace="default", sub=None):
    """/api/v1/namespaces/default/services/web/status; name None: all of that namespace; namespace None: of all."""
    where, _, scoped = BY_PLURAL[plural]
    path = f"{where}/namespaces/{namespace}/{plural}" if scoped and namespace else f"{where}/{plural}"
    return path + (f"/{name}" if name else "") + (f"/{sub}" if sub else "")


class Client:
    """cert and key, or a token, or nothing."""

    def __init__(self, node, address, port=6443, ca=None, cert=None, key=None, token=None):
        self.node, self.address, self.port, self.token = node, address, port, token
        self.tls = ssl.create_default_context(cafile=ca)
        if cert:
            self.tls.load_cert_chain(cert, key)
        self.connection = None

    def _connect(self):
        self.connection = http.client.HTTPSConnection(self.address, self.port, context=self.tls, timeout=20 * SLOW)
        with netns.inside(self.node.netns):
            self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def request(self, method, path, body=None, kind="application/json"):
        """Status and body, parsed where it is JSON. A kept connection that the server has closed is not an error."""
        data = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
        headers = {"Accept": "application/json", **({"Content-Type": kind} if body is not None else {}),
                   **({"Authorization": f"Bearer {self.token}"} if self.token else {})}
        while True:
            kept = self.connection is not None
            try:
                if not kept:
                    self._connect()
                self.connection.request(method, path, data, headers)
                answer = self.connection.getresponse()
                text = answer.read()
                break
            except (OSError, http.client.HTTPException):
                self.close()
                if not kept:
                    raise
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text.decode(errors="replace")

    def ask(self, method, path, body=None, kind="application/json"):
        """The body; ApiError unless it went well."""
        status, answer = self.request(method, path, body, kind)
        if status >= 300:
            raise ApiError(status, answer, f"{method} {path}")
        return answer

    def get(self, plural, name=None, namespace="default"):
        return self.ask("GET", path_of(plural, name, namespace))

    def create(self, *objects):
        """The last one as the server has it."""
        for one in objects:
            _, plural, _ = KINDS[one["kind"]]
            answer = self.ask("POST", path_of(plural, namespace=one["metadata"].get("namespace", "default")), one)
        return answer

    def patch(self, plural, name, change, namespace="default", sub=None, kind=MERGE):
        """change is merged into the object: a dict, in which None removes."""
        return self.ask("PATCH", path_of(plural, name, namespace, sub), change, kind)

    def patch_status(self, plural, name, status, namespace="default"):
        return self.patch(plural, name, {"status": status}, namespace, "status")

    def delete(self, plural, name, namespace="default"):
        return self.ask("DELETE", path_of(plural, name, namespace))

    def apply(self, text, dry_run=False):
        """Server-side apply of YAML, one document after the other, as `kubectl apply --server-side` does it."""
        for document in documents(text):
            where = f"{path_of(*document.place)}?fieldManager=lab&force=true{'&dryRun=All' if dry_run else ''}"
            self.ask("PATCH", where, document.text, APPLY)


class Document:
    """One of a YAML file. No parser: the few lines that say which object it is are found as they are usually written."""

    def __init__(self, text):
        self.text = text
        self.kind = self._find(r"^kind: *(\S+)")
        name = self._find(r"^metadata:(?: *\{[^}]*?\b| *\n(?:  .*\n)*?  )name: *([^\s,}]+)")
        space = self._find(r"^metadata:(?: *\{[^}]*?\b| *\n(?:  .*\n)*?  )namespace: *([^\s,}]+)") or "default"
        self.place = (KINDS[self.kind][1], name, space)

    def _find(self, pattern):
        match = re.search(pattern, self.text, re.M)
        return match and match[1]


def documents(text):
    return [Document(part) for part in re.split(r"^---.*\n", text, flags=re.M) if re.search(r"^kind:", part, re.M)]


def node(name, cidrs=(), ips=(), labels=None, annotations=None, **spec):
    """A Node; its addresses are of its status, which a kubelet may give when it registers."""
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels or {}, "annotations": annotations or {}},
            "spec": {**({"podCIDR": cidrs[0], "podCIDRs": list(cidrs)} if cidrs else {}), **spec},
            "status": {"addresses": [{"type": "InternalIP", "address": a} for a in ips]}}


def service(name, kind="ClusterIP", namespace="default", labels=None, annotations=None, **spec):
    """A Service with one port; more of spec by keyword, as the API spells it."""
    return {"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": namespace, "labels": labels or {}, "annotations": annotations or {}},
            "spec": {"type": kind, "ports": [{"name": "http", "port": 80, "protocol": "TCP"}], **spec}}


def ingress(*addresses, **keys):
    """The status that a load balancer's controller writes."""
    return {"loadBalancer": {"ingress": [{"ip": a, **keys} for a in addresses]}}


def endpoint(node_name, address, ready=True, serving=None, terminating=False):
    return {"addresses": [address], "nodeName": node_name,
            "conditions": {"ready": ready, "serving": ready if serving is None else serving, "terminating": terminating}}


def endpoint_slice(name, service_name, endpoints, namespace="default"):
    """Of the family of the endpoints' addresses."""
    six = bool(endpoints) and ":" in endpoints[0]["addresses"][0]
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv6" if six else "IPv4",
            "metadata": {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": service_name}},
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], "endpoints": list(endpoints)}


def balancer(name, vip, node_name, **spec):
    """A LoadBalancer with an endpoint on that node, both objects as an API server gives them: for one that is played."""
    one = service(name, "LoadBalancer", externalTrafficPolicy="Local", clusterIP="10.96.0.9", clusterIPs=["10.96.0.9"], **spec)
    one["status"] = ingress(vip)
    return one, endpoint_slice(f"{name}-1", name, [endpoint(node_name, "10.244.1.9")])


def many(pattern_service, pattern_slice, count, endpoints, where):
    """Services and a slice each of so many endpoints, complete as an API server has the two patterns; where(service, endpoint) is
    the node of one. Their addresses are 203.1.0.0 and up."""
    services, slices = [], []
    for i in range(count):
        one, its = copy.deepcopy(pattern_service), copy.deepcopy(pattern_slice)
        for thing, name in ((one, f"s{i}"), (its, f"s{i}-1")):
            thing["metadata"].update(name=name, uid=f"{thing['kind']}-{i}")
            thing["metadata"].pop("resourceVersion")
        its["metadata"]["labels"]["kubernetes.io/service-name"] = f"s{i}"
        one["status"] = ingress(f"203.{i // 65536 + 1}.{i // 256 % 256}.{i % 256}")
        its["endpoints"] = [endpoint(where(i, k), f"10.244.{k}.{i % 250 + 1}") for k in range(endpoints)]
        services.append(one)
        slices.append(its)
    return services, slices


def review(client, verb, resource, group="", sub=None):
    """Whether the client's account may: a SelfSubjectAccessReview."""
    attributes = {"verb": verb, "resource": resource, "group": group, **({"subresource": sub} if sub else {})}
    return client.ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes}})["status"]["allowed"]
