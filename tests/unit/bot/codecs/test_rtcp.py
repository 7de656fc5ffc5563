"""RTCP, read and written."""

from __future__ import annotations

import contextlib
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.codecs.rtcp import (
    Goodbye,
    RtcpError,
    SenderReport,
    SourceDescription,
    description,
    goodbye,
    parse_rtcp,
    receiver_report,
    sender_report,
)
from bot.codecs.rtp import is_rtcp
from tests.support.examples import MALFORMED

COMPOUND = sender_report(7, 2**63, 960) + description(7, "ana@host", "Ana") + goodbye(7)


def test_a_compound_packet() -> None:
    """Sender report, who it is, and that it goes."""
    assert is_rtcp(COMPOUND)
    assert parse_rtcp(COMPOUND) == [SenderReport(7, 2**63, 960), SourceDescription(7, "ana@host", "Ana"), Goodbye(7)]


@pytest.mark.parametrize("cname", ["", *(str(10**size) for size in range(9)), "ä" * 200])
def test_any_length_is_padded(cname: str) -> None:
    """Items end on four bytes, with at least one zero; what is too long is cut, even within a character."""
    (said,) = parse_rtcp(description(1, cname))
    assert isinstance(said, SourceDescription)
    assert said.cname.rstrip("\ufffd") == cname.encode()[:255].decode(errors="ignore")


def test_our_report() -> None:
    """An empty receiver report, which nobody needs to read, and our name."""
    assert parse_rtcp(receiver_report(5, "earshot-1")) == [SourceDescription(5, "earshot-1", "")]


def test_several_and_unknown() -> None:
    """Two who go at once, two who are described at once, blocks in a report, kinds that are not for us."""
    both = description(1, "a")[4:] + description(2, "b")[4:]
    described = struct.pack("!BBH", 0x82, 202, len(both) // 4) + both
    bye = struct.pack("!BBHII", 0x82, 203, 2, 1, 2)
    feedback = struct.pack("!BBHII", 0x81, 206, 2, 1, 2)
    assert parse_rtcp(feedback + described + bye) == [
        SourceDescription(1, "a", ""),
        SourceDescription(2, "b", ""),
        Goodbye(1),
        Goodbye(2),
    ]
    reason = struct.pack("!BBHIB3s", 0x81, 203, 2, 1, 3, b"bye")
    assert parse_rtcp(reason) == [Goodbye(1)]
    email = struct.pack("!BBHIBB2s", 0x81, 202, 3, 9, 3, 2, b"me") + bytes(4)
    assert parse_rtcp(email) == [SourceDescription(9, "", "")]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        COMPOUND[:-1],
        b"\x40" + COMPOUND[1:],
        struct.pack("!BBHI", 0x80, 200, 1, 1),
        struct.pack("!BBH", 0x81, 202, 0),
        struct.pack("!BBHIBB2s", 0x81, 202, 2, 1, 1, 9, b"ab"),
        struct.pack("!BBHI3sB", 0x81, 202, 2, 1, b"\1\1a", 1),
        struct.pack("!BBHI", 0x82, 203, 1, 1),
    ],
    ids=["empty", "short", "cut", "version", "report", "chunk", "item", "item-head", "goodbye"],
)
def test_malformed(data: bytes) -> None:
    """Nothing of it counts."""
    with pytest.raises(RtcpError):
        parse_rtcp(data)


@given(st.binary(max_size=80))
def test_anything(data: bytes) -> None:
    """No bytes raise anything but RtcpError."""
    for each in (data, b"\x81\xca" + data, COMPOUND[:20] + data):
        try:
            parse_rtcp(each)
        except RtcpError:
            continue


def test_thousands_malformed() -> None:
    """Bytes changed, cut and doubled: reports, or RtcpError."""
    chance = random.Random(13)
    for _ in range(MALFORMED):
        data = bytearray(COMPOUND)
        for _ in range(chance.randrange(1, 5)):
            at = chance.randrange(len(data))
            if chance.random() < 0.6:
                data[at] = chance.randrange(256)
            else:
                data[at:at] = data[at : at + chance.randrange(1, 9)]
        with contextlib.suppress(RtcpError):
            parse_rtcp(bytes(data[: chance.randrange(1, len(data) + 1)]))
