"""A cluster's certificates and tokens, by openssl, and the files by which a daemon gets to know them.

What an API server has: an authority, certificates of the server and of clients, and a key that service-account tokens are
signed with. A token of one's own making may be valid for as short as wanted, or no longer.
"""
import base64
import json
import os
import time

from lab import run
from underlay import to_yaml

ISSUER = "https://kubernetes.default.svc"
LEEWAY = 60  # seconds that an API server takes a token for longer than it says


class Pki:
    """Files in a directory of its own: ca.crt, NAME.crt and NAME.key of leaf(), sa.key, sa.pub."""

    def __init__(self, directory):
        self.dir = directory
        os.makedirs(directory, exist_ok=True)
        self._key("ca")
        self._openssl("req", "-x509", "-new", "-key", "ca.key", "-days", "30", "-subj", "/CN=lab-ca", "-out", "ca.crt", "-addext",
                      "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self.ca = self.path("ca.crt")

    def path(self, name):
        return os.path.join(self.dir, name)

    def _openssl(self, *words, input=None):
        """Words with a dot and no more are names of files here."""
        return run(["sh", "-c", 'cd "$0" && exec openssl "$@"', self.dir, *words], input=input).stdout

    def _key(self, name):
        self._openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")

    def leaf(self, name, subject, usage, *names, days=30):
        """A certificate for serverAuth or clientAuth; names as in "IP:127.0.0.1", "DNS:localhost". Its two paths."""
        self._key(name)
        self._openssl("req", "-new", "-key", f"{name}.key", "-subj", subject, "-out", f"{name}.csr")
        with open(self.path(f"{name}.ext"), "w") as file:
            file.write(f"extendedKeyUsage={usage}\n" + (f"subjectAltName={','.join(names)}\n" if names else ""))
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", str(days),
                      "-extfile", f"{name}.ext", "-out", f"{name}.crt")
        return self.path(f"{name}.crt"), self.path(f"{name}.key")

    def server(self, name, *addresses):
        return self.leaf(name, f"/CN={name}", "serverAuth", "DNS:localhost", "DNS:kubernetes.default.svc",
                         *[f"IP:{a}" for a in ("127.0.0.1", "::1", *addresses)])

    def client(self, name, group=None):
        return self.leaf(name, f"/O={group}/CN={name}" if group else f"/CN={name}", "clientAuth")

    def token_key(self):
        self._openssl("genrsa", "-out", "sa.key", "2048")
        self._openssl("rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub")

    def token(self, namespace, name, uid, seconds):
        """A service account's, which says that it is valid for so long, or no longer since; see LEEWAY."""
        now = int(time.time())
        issued = now + min(0, seconds) - 60
        claims = {"iss": ISSUER, "aud": [ISSUER], "sub": f"system:serviceaccount:{namespace}:{name}", "iat": issued, "nbf": issued,
                  "exp": now + seconds, "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}}}
        text = ".".join(_base64(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims))
        with open(self.path("jwt"), "w") as file:
            file.write(text)
        self._openssl("dgst", "-sha256", "-sign", "sa.key", "-binary", "-out", "jwt.signature", "jwt")
        with open(self.path("jwt.signature"), "rb") as file:
            return f"{text}.{_base64(file.read())}"


def _base64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def write_token(path, token):
    """As kubelet does it: the file is there at any time, the old one or the new."""
    with open(f"{path}.new", "w") as file:
        file.write(token)
    os.chmod(f"{path}.new", 0o600)
    os.rename(f"{path}.new", path)
    return path


def kubeconfig(path, server, ca, token_file=None, cert=None, key=None, **user):
    """One cluster, one user; more of the user by keyword, with _ for -. The path."""
    user = {"tokenFile": token_file, "client-certificate": cert, "client-key": key, **{k.replace("_", "-"): v for k, v in user.items()}}
    text = to_yaml({"apiVersion": "v1", "kind": "Config", "current-context": "lab",
                    "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority": ca}}],
                    "users": [{"name": "lab", "user": {k: v for k, v in user.items() if v is not None}}],
                    "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}]})
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, 0o600)
    return path


def in_cluster(directory, ca, token):
    """The files that a pod finds in /var/run/secrets/kubernetes.io/serviceaccount, behind links as kubelet makes them; again for
    others in their place."""
    os.makedirs(directory, exist_ok=True)
    version = f"..{time.monotonic_ns()}"
    os.mkdir(os.path.join(directory, version))
    with open(ca) as file:
        texts = {"ca.crt": file.read(), "token": token, "namespace": "kube-system"}
    for name, text in texts.items():
        with open(os.path.join(directory, version, name), "w") as file:
            file.write(text)
        if not os.path.lexists(os.path.join(directory, name)):
            os.symlink(f"..data/{name}", os.path.join(directory, name))
    os.symlink(version, os.path.join(directory, "..data.new"))
    os.rename(os.path.join(directory, "..data.new"), os.path.join(directory, "..data"))
    return directory


def as_pod(directory, address, port, writable=None, capabilities=None, **environment):
    """What Underlay.wrap takes so that the daemon is in the cluster: that directory where a pod has it, and the environment.

    writable: nothing but this directory is. capabilities: it has these alone, and can get no others."""
    steps = ["mount -t tmpfs none /run", "mkdir -p /run/secrets/kubernetes.io", f"ln -s {directory} /run/secrets/kubernetes.io/serviceaccount"]
    if writable:
        steps += [f"mount --bind {writable} {writable}", "mount -o remount,bind,ro /"]
    words = ("env", f"KUBERNETES_SERVICE_HOST={address}", f"KUBERNETES_SERVICE_PORT={port}",
             *[f"{name}={value}" for name, value in environment.items()], "unshare", "--mount", "sh", "-c",
             f"{' && '.join(steps)} && exec \"$@\"", "sh")
    if capabilities is None:
        return words
    bounding = ",".join(["-all", *[f"+{name.lower()}" for name in capabilities]])
    return (*words, "setpriv", f"--bounding-set={bounding}", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs")
