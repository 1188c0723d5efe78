"""An API server that does what it is told, right or wrong: lists in pages and watches, from objects that the test puts there.

For what a real one cannot be made to do (streams that are cut within an object, JSON that is none, silence, redirects), and for
fields that the real one of the tests is too old for. Left alone, it answers as a real one does: `limit` and `continue`, a watch
from any resourceVersion with all that has changed since, 410 for one from before forget().

    fake = FakeKube(node, "10.0.2.0").start()
    fake.put(service("web", "LoadBalancer"))     # listed, and said to the watches
    fake.next("services", "watch", fake.refuse(503))   # the next watch of services is answered so
    fake.streams("services")[0].cut()            # a watch that is open: send(), event(), cut(), end()

Threads of the test; its sockets are in a node of the lab.
"""
import collections
import contextlib
import copy
import json
import os
import re
import select
import socket
import ssl
import struct
import threading
import time
import urllib.parse

import kube_pki
import netns
from kube_client import KINDS
from kube_pki import Pki
from lab import wait_for

PORT = 6443
NAMES = {plural: kind for kind, (_, plural, _) in KINDS.items()}
TOKEN = "a-token"
Request = collections.namedtuple("Request", "plural verb query token path")


class Stream:
    """An answer under way, of a watch in most cases: chunk by chunk, as long as the other side stays."""

    def __init__(self, sock):
        self.sock, self.lock, self.open = sock, threading.Lock(), True

    def head(self, status=200, kind="application/json", length=None):
        framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        self.raw(f"HTTP/1.1 {status} Status\r\nContent-Type: {kind}\r\n{framing}\r\nConnection: close\r\n\r\n".encode())
        return self

    def raw(self, data):
        with self.lock:
            try:
                if self.open:
                    self.sock.sendall(data)
            except OSError:
                self.open = False

    def send(self, data):
        """One chunk."""
        data = data.encode() if isinstance(data, str) else data
        self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    def dribble(self, text, pause=0):
        """Each byte in a chunk and a TLS record of its own."""
        for byte in text.encode():
            self.send(bytes((byte,)))
            if pause:
                time.sleep(pause)

    def left(self):
        """Whether the other side is gone: after its request it says nothing but that."""
        try:
            return bool(select.select([self.sock], [], [], 0)[0])
        except (OSError, ValueError):
            return True

    def event(self, kind, one):
        self.send(json.dumps({"type": kind, "object": one}) + "\n")

    def end(self):
        """In good order."""
        self.raw(b"0\r\n\r\n")
        self.close()

    def cut(self):
        """Closed without the last chunk: the server has died."""
        self.close()

    def reset(self):
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        with self.lock:
            self.open = False
            for step in (lambda: self.sock.shutdown(socket.SHUT_RDWR), self.sock.close):
                with contextlib.suppress(OSError):
                    step()


class FakeKube:
    def __init__(self, node, address, name="fake", pki=None, tokens=(TOKEN,)):
        self.node, self.lab, self.address = node, node.lab, address
        self.dir = os.path.join(self.lab.dir, f"{node.name}-{name}")
        self.pki = pki or Pki(self.dir)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(*self.pki.server(f"{name}-server", address))
        self.url = f"https://{f'[{address}]' if ':' in address else address}:{PORT}"
        self.tokens = set(tokens)
        self.lock = threading.RLock()
        self.objects = collections.defaultdict(dict)  # plural: {"NAMESPACE/NAME": object}
        self.history = []  # (resourceVersion, plural, event)
        self.version, self.oldest = 1000, 0
        self.answers = collections.defaultdict(collections.deque)  # (plural, verb): functions of Stream and Request
        self.always = {}  # the same, for each that comes
        self.requests, self.open = [], collections.defaultdict(list)
        self.deaf = False  # connections are taken and not served
        self.listener = None

    # What it has to say.

    def put(self, *objects):
        """New ones and others in place of old ones; each is an event to the watches."""
        for one in objects:
            one = copy.deepcopy(one)
            plural, name = KINDS[one["kind"]][1], key_of(one)
            with self.lock:
                kind = "MODIFIED" if name in self.objects[plural] else "ADDED"
                self._store(plural, kind, name, one)

    def delete(self, plural, name, namespace="default"):
        with self.lock:
            name = f"{namespace}/{name}" if f"{namespace}/{name}" in self.objects[plural] else name
            self._store(plural, "DELETED", name, self.objects[plural].pop(name))

    def _store(self, plural, kind, name, one):
        self.version += 1
        one["metadata"]["resourceVersion"] = str(self.version)
        if kind != "DELETED":
            self.objects[plural][name] = one
        self.history.append((self.version, plural, kind, copy.deepcopy(one)))
        for stream in self.streams(plural):
            if wanted(stream.request, one):
                stream.event(kind, one)

    def bookmark(self, plural):
        with self.lock:
            for stream in self.streams(plural):
                stream.event("BOOKMARK", {"kind": NAMES[plural], "metadata": {"resourceVersion": str(self.version)}})

    def forget(self):
        """The past, as a compaction does: a resourceVersion from before is answered by 410."""
        with self.lock:
            self.version += 1
            self.oldest, self.history = self.version, []

    def streams(self, plural):
        """The watches that are open."""
        with self.lock:
            self.open[plural] = [s for s in self.open[plural] if s.open and not s.left()]
            return list(self.open[plural])

    # What it does for once.

    def next(self, plural, verb, *answers):
        """The next requests (verb: list, watch, get or patch) are answered by these functions of a Stream and a Request. One that
        returns True is followed by the usual answer."""
        self.answers[plural, verb].extend(answers)

    @staticmethod
    def refuse(status, reason="", headers=""):
        """An answer: an error as the API server words it."""
        body = json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": reason, "reason": reason, "code": status})

        def answer(stream, _request):
            stream.raw(f"HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\n{headers}Content-Length: {len(body)}\r\n"
                       f"Connection: close\r\n\r\n{body}".encode())
            stream.close()
        return answer

    @staticmethod
    def says(*pieces, then="end"):
        """An answer: these pieces of a body as chunks, and then end, cut or reset; or hold, which leaves it open in silence."""
        def answer(stream, _request):
            stream.head()
            for piece in pieces:
                stream.send(piece)
            if then != "hold":
                getattr(stream, then)()
        return answer

    @staticmethod
    def silence(stream, _request):
        """An answer: none."""

    @staticmethod
    def cut(stream, _request):
        stream.close()

    # Serving.

    def start(self):
        with netns.inside(self.node.netns):
            family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
            self.listener = socket.create_server((self.address, PORT), family=family, backlog=64)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()
        return self

    def stop(self):
        """Nobody listens any longer, and all that was open is cut."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for plural in list(self.open):
            for stream in self.streams(plural):
                stream.cut()

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                if not self.deaf:
                    threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with contextlib.suppress(OSError, ValueError, IndexError):
            sock.settimeout(30)
            sock = self.tls.wrap_socket(sock, server_side=True)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            data = b""
            while b"\r\n\r\n" not in data and (more := sock.recv(65536)):
                data += more
            head, _, body = data.partition(b"\r\n\r\n")
            self._answer(Stream(sock), head.decode("latin-1"), body)

    def _answer(self, stream, head, _body):
        method, target, _ = head.split("\r\n")[0].split(" ")
        path, _, query = target.partition("?")
        query = dict(urllib.parse.parse_qsl(query))
        plural = next((p for p in NAMES if f"/{p}" in path), path)
        verb = "patch" if method == "PATCH" else "watch" if query.get("watch") in ("1", "true") else \
            "list" if path.endswith(plural) else "get"
        token = re.search(r"^authorization: *bearer +(\S+)", head, re.I | re.M)
        request = Request(plural, verb, query, token and token[1], path)
        with self.lock:
            self.requests.append(request)
            waiting = self.answers[plural, verb]
            special = waiting.popleft() if waiting else self.always.get((plural, verb))
        if special and special(stream, request) is not True:
            return
        if self.tokens and request.token not in self.tokens:
            self.refuse(401, "Unauthorized")(stream, request)
        elif verb == "watch":
            self._watch(stream, request)
        elif verb == "list":
            self._list(stream, request)
        else:
            self.refuse(404, "NotFound")(stream, request)

    def _list(self, stream, request):
        with self.lock:
            version, _, first = request.query.get("continue", f"{self.version}:0").partition(":")
            names = sorted(name for name, one in self.objects[request.plural].items() if wanted(request, one))
            first, most = int(first), int(request.query.get("limit", 0)) or len(names)
            items = [self.objects[request.plural][name] for name in names[first:first + most]]
            gone = int(version) < self.oldest
            more = {"continue": f"{version}:{first + most}"} if first + most < len(names) else {}
            text = json.dumps({"kind": f"{NAMES[request.plural]}List", "apiVersion": "v1",
                               "metadata": {"resourceVersion": version, **more}, "items": items})
        if gone:
            self.refuse(410, "Expired")(stream, request)
            return
        stream.head(length=len(text.encode())).raw(text.encode())
        stream.close()

    def _watch(self, stream, request):
        with self.lock:
            since = int(request.query.get("resourceVersion") or 0)
            stream.head()
            if since < self.oldest:
                stream.event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"})
                stream.end()
                return
            for version, plural, kind, one in self.history:
                if plural == request.plural and version > since and wanted(request, one):
                    stream.event(kind, one)
            stream.request = request
            self.open[request.plural].append(stream)
        if seconds := int(request.query.get("timeoutSeconds", 0)):
            timer = threading.Timer(seconds, stream.end)
            timer.daemon = True
            timer.start()

    # What a test asks.

    def count(self, plural, verb):
        return sum(1 for r in list(self.requests) if r.plural == plural and r.verb == verb)

    def wait_watched(self, *plurals):
        for plural in plurals or ("nodes", "services", "endpointslices"):
            wait_for(lambda: self.streams(plural), 20, f"a watch of {plural}")

    def kubeconfig(self, name="kubeconfig", token=TOKEN, ca=None):
        token_file = kube_pki.write_token(os.path.join(self.dir, f"{name}.token"), token)
        return kube_pki.kubeconfig(os.path.join(self.dir, name), self.url, ca or self.pki.ca, token_file=token_file)

    def write_token(self, token, name="kubeconfig"):
        kube_pki.write_token(os.path.join(self.dir, f"{name}.token"), token)


def key_of(one):
    """"NAMESPACE/NAME", or the name alone."""
    metadata = one["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if "namespace" in metadata else metadata["name"]


def wanted(request, one):
    """Whether the request's field selector lets it through: nothing but a name is known."""
    name = request.query.get("fieldSelector", "").removeprefix("metadata.name=")
    return not name or one["metadata"]["name"] == name
