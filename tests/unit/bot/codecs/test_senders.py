"""Who is taken on a port that anybody can send to."""

from __future__ import annotations

import pytest

from bot.codecs.rtp import RtpPacket
from bot.codecs.senders import MAX_CANDIDATES, MAX_SENDERS, PROBATION_S, RELEASE_S, Address, Rule, Senders

SFU, OTHER, THIRD = ("192.0.2.1", 40_000), ("192.0.2.2", 40_000), ("192.0.2.1", 50_000)


def packet(number: int, ssrc: int = 1, payload_type: int = 111) -> RtpPacket:
    """One packet."""
    return RtpPacket(payload_type, number % 2**16, 960 * number, ssrc, False, b"x")


def numbers(
    senders: Senders, number: int, source: Address = SFU, now: float = 0.0, ssrc: int = 1, payload_type: int = 111
) -> list[int]:
    """Numbers of the packets that are taken when this one comes."""
    return [each.sequence_number for each in senders.admit(packet(number, ssrc, payload_type), source, now)]


def taken(rule: str | None = None, *, apart: bool = False) -> Senders:
    """With one sender, who is pinned."""
    senders = Senders(Rule(rule), {111}, apart=apart)
    numbers(senders, 0)
    numbers(senders, 1)
    return senders


def test_two_consecutive_packets_make_a_sender() -> None:
    """Then both are heard, over the wrap-around too; a single stray packet is not."""
    senders = Senders(Rule(None), {111})
    assert numbers(senders, 65_535) == []
    assert numbers(senders, 65_536) == [65_535, 0]
    assert numbers(senders, 5) == [5]


@pytest.mark.parametrize(
    ("number", "source", "now", "ssrc"),
    [(2, SFU, 0.0, 1), (1, OTHER, 0.0, 1), (1, SFU, PROBATION_S + 0.1, 1), (1, SFU, 0.0, 2)],
    ids=["gap", "source", "late", "ssrc"],
)
def test_what_is_not_consecutive(number: int, source: Address, now: float, ssrc: int) -> None:
    """A hole, another address, two seconds later, another SSRC."""
    senders = Senders(Rule(None), {111})
    numbers(senders, 0)
    assert numbers(senders, number, source, now, ssrc) == []


def test_a_wrong_payload_type_makes_no_sender() -> None:
    """Once it is one, a key that is pressed or a codec that changes is its own affair."""
    senders = Senders(Rule(None), {111})
    numbers(senders, 0, payload_type=0)
    assert numbers(senders, 1, payload_type=0) == []
    assert senders.refused == {"type": 2}
    assert numbers(taken(), 2, payload_type=0) == [2]


def test_nobody_speaks_in_its_place() -> None:
    """Not from another address, not with its SSRC, until it has been silent for 10 s; then after a probation."""
    senders = taken()
    assert numbers(senders, 2, OTHER) == numbers(senders, 3, OTHER) == []
    assert senders.refused == {"source": 2}
    assert numbers(senders, 2, now=5.0) == [2]
    assert numbers(senders, 4, OTHER, 5.0 + RELEASE_S - 0.1) == []
    assert numbers(senders, 5, OTHER, 5.0 + RELEASE_S) == []
    assert numbers(senders, 6, OTHER, 5.1 + RELEASE_S) == [5, 6]
    assert numbers(senders, 3, now=5.2 + RELEASE_S) == []


def test_another_ssrc_from_there_is_the_same_sender() -> None:
    """Where a stream is one participant's."""
    assert numbers(taken(), 9, ssrc=2) == [9]


def test_apart_each_ssrc_is_pinned() -> None:
    """A second one comes from the same machine, whatever the port; somebody else's machine is refused."""
    senders = taken(apart=True)
    assert numbers(senders, 0, THIRD, ssrc=2) == []
    assert numbers(senders, 1, THIRD, ssrc=2) == [0, 1]
    assert numbers(senders, 2, THIRD) == []
    assert numbers(senders, 0, OTHER, ssrc=3) == numbers(senders, 1, OTHER, ssrc=3) == []
    assert senders.refused == {"source": 3}
    numbers(senders, 5, OTHER, 2 * RELEASE_S, ssrc=3)
    assert numbers(senders, 6, OTHER, 2 * RELEASE_S, ssrc=3) == [5, 6]


def test_with_a_rule_they_may_be_anywhere_in_it() -> None:
    """Each at its own address."""
    senders = taken("192.0.2.0/24", apart=True)
    numbers(senders, 0, OTHER, ssrc=3)
    assert numbers(senders, 1, OTHER, ssrc=3) == [0, 1]
    assert numbers(senders, 0, ("198.51.100.1", 4), ssrc=4) == []
    assert senders.refused == {"source": 1}


def test_a_flood_of_senders_is_bounded() -> None:
    """64 are heard; of those on probation 64 are remembered."""
    senders = Senders(Rule(None), {111}, apart=True)
    heard = 0
    for ssrc in range(MAX_SENDERS + 10):
        numbers(senders, 0, ssrc=ssrc)
        heard += bool(numbers(senders, 1, ssrc=ssrc))
    assert heard == MAX_SENDERS
    assert senders.refused == {"senders": 20}
    crowd = Senders(Rule(None), {111}, apart=True)
    for ssrc in range(MAX_CANDIDATES + 1):
        numbers(crowd, 0, ssrc=ssrc)
    assert numbers(crowd, 1, ssrc=0) == []
    assert numbers(crowd, 1, ssrc=MAX_CANDIDATES) == [0, 1]


def test_who_may_speak_for_an_ssrc() -> None:
    """RTCP comes from the same machine; who has gone begins anew."""
    senders = taken(apart=True)
    assert senders.host_of(1) == "192.0.2.1"
    assert senders.is_from(1, "192.0.2.1")
    assert not senders.is_from(1, "192.0.2.2")
    assert not senders.is_from(2, "192.0.2.1")
    senders.forget(1)
    senders.forget(9)
    assert senders.host_of(1) is None
    assert not senders.is_from(1, "192.0.2.1")
    one = taken()
    assert one.is_from(77, "192.0.2.1")
    one.forget(77)
    assert numbers(one, 2) == []


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        (None, ("8.8.8.8", 1), None),
        ("192.0.2.1", ("192.0.2.1", 9), ("192.0.2.2", 9)),
        ("192.0.2.1:9", ("192.0.2.1", 9), ("192.0.2.1", 10)),
        ("10.0.0.0/8", ("10.9.9.9", 9), ("11.0.0.1", 9)),
        ("2001:db8::/32", ("2001:db8::7", 9), ("10.0.0.1", 9)),
        ("[2001:db8::1]:9", ("2001:db8::1", 9), ("2001:db8::1", 8)),
    ],
)
def test_rules(text: str | None, yes: Address, no: Address | None) -> None:
    """An address, one with a port, a network, or anybody."""
    rule = Rule(text)
    assert rule.is_open is (text is None)
    assert rule.allows(yes)
    assert no is None or not rule.allows(no)
