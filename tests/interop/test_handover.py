"""A planned restart of the speaker (`underlayctl restart`): the sessions go to the next process, and no peer notices."""
import re

from lab import never_during, wait_for
from runner import cases, feature
from topology import FAR4, FAR6, POD4, POD6, Pair


def handed_over(pair, sessions=1, words="restart speaker"):
    """Restarts, and waits until the next speaker serves."""
    before = pair.underlay.speaker()
    answer = pair.underlay.command(words)
    assert f"{sessions} of {sessions} sessions handed over" in answer, answer
    wait_for(lambda: pair.underlay.speaker() != before and pair.underlay._answers(), what="another speaker serves")
    return answer


@cases(("frr",))
@feature("Planned restart: sessions are handed over")
def test_a_session_goes_on(lab, kind):
    pair = Pair(lab, kind, networks=(FAR4, FAR6)).up()
    wait_for(lambda: pair.underlay.installed(FAR4, FAR6) and pair.tor.has(POD4, POD6), what="routes both ways")
    before = pair.underlay.neighbor()
    theirs = pair.tor.neighbor(pair.mine)
    handed_over(pair)
    after = pair.underlay.neighbor()
    assert after["bgpState"] == "Established"
    assert after["connectionsEstablished"] == 1 and after["connectionsDropped"] == 0
    assert after["bgpTimerUpEstablishedEpoch"] == before["bgpTimerUpEstablishedEpoch"]
    now = pair.tor.neighbor(pair.mine)
    assert now["connectionsDropped"] == theirs["connectionsDropped"] and now["bgpState"] == "Established"
    assert now["bgpTimerUpMsec"] >= theirs["bgpTimerUpMsec"]
    assert pair.underlay.installed(FAR4, FAR6) and pair.tor.has(POD4, POD6)
