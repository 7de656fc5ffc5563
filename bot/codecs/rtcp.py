"""RTCP (RFC 3550, section 6): what senders say about themselves, and the report that a listener owes them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TypeAlias

SENDER_REPORT, RECEIVER_REPORT, SOURCE_DESCRIPTION, GOODBYE = 200, 201, 202, 203
_CNAME, _NAME = 1, 2
MAX_CHARACTERS = 255
"""Of an item of a source description: its length is one byte."""


class RtcpError(ValueError):
    """Not RTCP."""


@dataclass(frozen=True, slots=True)
class SenderReport:
    """A sender is there. At `ntp` (seconds since 1900, 32.32 bits) its RTP clock said `timestamp`."""

    ssrc: int
    ntp: int
    timestamp: int


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """Who a sender is: `cname` stays the same through its SSRCs, `name` is for people; empty where it is not said."""

    ssrc: int
    cname: str
    name: str


@dataclass(frozen=True, slots=True)
class Goodbye:
    """A sender has gone."""

    ssrc: int


Report: TypeAlias = SenderReport | SourceDescription | Goodbye


def parse_rtcp(data: bytes) -> list[Report]:
    """What a datagram says, in its order; kinds of packets that nobody here needs are passed over.

    Raises:
        RtcpError: Malformed; nothing of it counts.
    """
    reports: list[Report] = []
    at = 0
    while at < len(data):
        if len(data) < at + 4 or data[at] >> 6 != 2:
            raise RtcpError("no RTCP header")
        size = 4 + 4 * int.from_bytes(data[at + 2 : at + 4])
        if len(data) < at + size:
            raise RtcpError("a packet is cut off")
        count, kind, body = data[at] & 31, data[at + 1], data[at + 4 : at + size]
        if kind == SENDER_REPORT:
            if len(body) < 24:
                raise RtcpError("a sender report is cut off")
            reports.append(SenderReport(*struct.unpack("!IQI", body[:16])))
        elif kind == SOURCE_DESCRIPTION:
            reports += _descriptions(body, count)
        elif kind == GOODBYE:
            if len(body) < 4 * count:
                raise RtcpError("a goodbye is cut off")
            reports += [Goodbye(ssrc) for (ssrc,) in struct.iter_unpack("!I", body[: 4 * count])]
        at += size
    if not data:
        raise RtcpError("no RTCP header")
    return reports


def _descriptions(body: bytes, count: int) -> list[Report]:
    """The chunks of a source description: each an SSRC and items, padded with zeros to four bytes."""
    found: list[Report] = []
    at = 0
    for _ in range(count):
        if len(body) < at + 4:
            raise RtcpError("a source description is cut off")
        ssrc, said = int.from_bytes(body[at : at + 4]), {_CNAME: "", _NAME: ""}
        at += 4
        while at < len(body) and body[at]:
            if len(body) < at + 2 or len(body) < at + 2 + body[at + 1]:
                raise RtcpError("an item is cut off")
            if body[at] in said:
                said[body[at]] = body[at + 2 : at + 2 + body[at + 1]].decode(errors="replace")
            at += 2 + body[at + 1]
        at += 4 - at % 4  # the zero that ends the items, and what pads it
        found.append(SourceDescription(ssrc, said[_CNAME], said[_NAME]))
    return found


def receiver_report(ssrc: int, cname: str) -> bytes:
    """A compound packet that says that we are there: an empty receiver report and our CNAME.

    A way through NAT stays open by it, and a transport that waits to be told where we are (comedia) learns it.

    Args:
        ssrc: Ours, 32 bits.
        cname: Ours; cut to 255 bytes.
    """
    report = struct.pack("!BBHI", 0x80, RECEIVER_REPORT, 1, ssrc)
    return report + description(ssrc, cname)


def description(ssrc: int, cname: str, name: str = "") -> bytes:
    """A source description; what is empty is left out."""
    items = b""
    for kind, text in ((_CNAME, cname), (_NAME, name)):
        if plain := text.encode()[:MAX_CHARACTERS]:
            items += bytes((kind, len(plain))) + plain
    chunk = struct.pack("!I", ssrc) + items
    chunk += bytes(4 - len(chunk) % 4)
    return struct.pack("!BBH", 0x81, SOURCE_DESCRIPTION, len(chunk) // 4) + chunk


def sender_report(ssrc: int, ntp: int, timestamp: int) -> bytes:
    """A sender report without blocks, which says when (as `SenderReport`) and no numbers of packets."""
    return struct.pack("!BBHIQIII", 0x80, SENDER_REPORT, 6, ssrc, ntp, timestamp, 0, 0)


def goodbye(ssrc: int) -> bytes:
    """A sender has gone."""
    return struct.pack("!BBHI", 0x81, GOODBYE, 1, ssrc)
