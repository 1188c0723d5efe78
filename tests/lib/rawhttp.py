"""HTTP as bytes, in a namespace of the lab: requests that are right, and others."""
import socket

import netns
from lab import SLOW

PORT = 9817


def connect(node, address="127.0.0.1", port=PORT):
    with netns.inside(node.netns):
        return socket.create_connection((address, port), timeout=15 * SLOW)


def read_all(sock):
    """Until the other side closes."""
    out = b""
    while chunk := sock.recv(65536):
        out += chunk
    return out


class Answer:
    def __init__(self, raw, body=True):
        head, _, rest = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        self.text = self.decoded(rest).decode() if body else ""
        assert body or not rest, rest

    def decoded(self, rest):
        if self.headers.get("transfer-encoding") != "chunked":
            assert "content-length" not in self.headers or len(rest) == int(self.headers["content-length"]), self.headers
            return rest
        out = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            n = int(size, 16)
            if n == 0:
                assert rest == b"\r\n", "the last chunk ends the answer"
                return out
            out, rest = out + rest[:n], rest[n + 2:]
        raise AssertionError("the answer ends within its chunks")


def ask(node, raw, **where):
    """The answer to these bytes."""
    with connect(node, **where) as sock:
        sock.sendall(raw)
        return Answer(read_all(sock), body=not raw.startswith(b"HEAD"))


def get(node, path, method="GET", version="1.1", accept=None, **where):
    head = f"{method} {path} HTTP/{version}\r\nHost: node\r\n" + (f"Accept: {accept}\r\n" if accept else "")
    return ask(node, (head + "\r\n").encode(), **where)


def listening(node, address="127.0.0.1", port=PORT):
    """A socket that has the port for itself."""
    with netns.inside(node.netns):
        return socket.create_server((address, port))
