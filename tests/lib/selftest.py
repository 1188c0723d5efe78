#!/usr/bin/python3
"""The lab proves itself: every peer against every other, without underlayd. usage: selftest.py [KIND KIND]"""
import itertools
import sys
import time

import lab
from lab import Lab, wait_for
from peers import PEERS, Neighbor


def meet(kind_a, kind_b, transport):
    with Lab(f"{kind_a}-{kind_b}-{transport}") as l:
        a, b = l.node("a"), l.node("b")
        link = l.link(a, b)
        ends = {"ipv4": (link.a4, link.b4), "ipv6": (link.a6, link.b6)}[transport]
        pa = PEERS[kind_a](a, 65001, "10.255.0.1", [Neighbor(ends[1], 65002, ends[0], link.a4, link.a6, passive=False)])
        pb = PEERS[kind_b](b, 65002, "10.255.0.2", [Neighbor(ends[0], 65001, ends[1], link.b4, link.b6, passive=True)])
        try:
            pb.start()
            pa.start()
            pa.wait_established()
            pb.wait_established()
            nets_a, nets_b = ("192.0.2.0/24", "2001:db8:a::/48"), ("198.51.100.0/24", "2001:db8:b::/48")
            pa.announce(*nets_a)
            pb.announce(*nets_b)
            wait_for(lambda: pb.has(*nets_a), what=f"{kind_b} learns from {kind_a}")
            wait_for(lambda: pa.has(*nets_b), what=f"{kind_a} learns from {kind_b}")
            assert pa.routes("ipv4")[nets_b[0]]["as_path"] == [65002], pa.routes("ipv4")
            assert pb.routes("ipv6")[nets_a[1]]["as_path"] == [65001], pb.routes("ipv6")
            pa.withdraw(*nets_a)
            pb.withdraw(*nets_b)
            wait_for(lambda: pb.has_none(*nets_a), what=f"{kind_b} loses them")
            wait_for(lambda: pa.has_none(*nets_b), what=f"{kind_a} loses them")
        except BaseException:
            print(l.logs())
            raise


if __name__ == "__main__":
    lab.require_root()
    pairs = [tuple(sys.argv[1:3])] if len(sys.argv) > 2 else list(itertools.combinations_with_replacement(PEERS, 2))
    passed = failed = 0
    for a, b in pairs:
        for transport in ("ipv4", "ipv6"):
            began, word = time.monotonic(), "ok   "
            try:
                meet(a, b, transport)
                passed += 1
            except Exception as error:
                word, failed = "FAIL ", failed + 1
                print(error)
            print(f"{word} {a} - {b} over {transport} ({time.monotonic() - began:.1f}s)", flush=True)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)
