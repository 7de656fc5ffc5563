"""RTP (RFC 3550): packets, and a jitter buffer for listeners who need no playout clock.

Speech recognition does not care when a sample is played, only that it comes soon and in order. So packets in order
leave at once; behind a hole they wait at most `REORDER_WAIT_S` for the missing one.
"""

from __future__ import annotations

import math
import struct
from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

REORDER_WAIT_S = 0.060
"""Seconds that a hole is given, from the arrival of the oldest packet behind it."""
TIMER_SLACK_S = 1e-6
"""Seconds by which a timer may fire early (event loops round to their clock's resolution)."""
MAX_WAITING_S = 0.200
"""Seconds of audio that may wait; with more, the hole is given up at once."""
MAX_WAITING_PACKETS = 80
"""Packets that may wait, whatever their timestamps say: 200 ms of the shortest Opus packets."""
MAX_JUMP_PACKETS = 100
"""Sequence numbers: a packet further off (2 s) is a restarted sender, or garbage (MAX_MISORDER of RFC 3550, A.1) ..."""
MAX_HOLE_S = 30.0
"""... or the same one after a long hole, as its timestamps say: they have gone on by no more than so many seconds. Then
its clock is known, and not taken anew from a packet that may have waited for us: words would be as much too late."""


ONE_BYTE_PROFILE, TWO_BYTE_PROFILE = 0xBEDE, 0x100
"""Of header extensions (RFC 8285); the second without its last four bits."""
SILENT_DBOV = -127
"""The level (RFC 6464) of digital silence."""


class RtpError(ValueError):
    """Not an RTP packet."""


_HEADER = struct.Struct("!BBHII")


@dataclass(slots=True)
class RtpPacket:
    """One RTP packet without its padding. (Nobody changes it: it is not frozen because it is made for every packet.)"""

    payload_type: int
    sequence_number: int
    timestamp: int
    ssrc: int
    marker: bool
    payload: bytes
    sources: tuple[int, ...] = ()
    """The CSRC list: SSRCs of those who are in a mix."""
    profile: int = 0
    """What the header extension is, 16 bits; and ..."""
    extension: bytes = b""
    """... the extension itself."""
    datagram: bytes = field(default=b"", compare=False, repr=False)
    """The packet as it came."""

    def extended(self, extension_id: int) -> bytes | None:
        """One element of the header extension (RFC 8285, with headers of one or two bytes); None: there is none."""
        at, data = 0, self.extension
        is_short = self.profile == ONE_BYTE_PROFILE
        if not is_short and self.profile >> 4 != TWO_BYTE_PROFILE:
            return None
        while at < len(data):
            if data[at] == 0:  # padding
                at += 1
                continue
            if is_short:
                found, size, start = data[at] >> 4, (data[at] & 15) + 1, at + 1
                if found == 15:  # reserved: nothing after it may be read
                    return None
            elif at + 1 < len(data):
                found, size, start = data[at], data[at + 1], at + 2
            else:
                return None
            if start + size > len(data):
                return None
            if found == extension_id:
                return data[start : start + size]
            at = start + size
        return None

    def level(self, extension_id: int) -> int | None:
        """How loud it is as its sender says (RFC 6464), in dBov from 0 down to -127: digital silence; None: unsaid."""
        said = self.extended(extension_id)
        return -(said[0] & 127) if said else None


def is_rtcp(data: bytes) -> bool:
    """Whether a datagram is RTCP, on a port that RTP comes to as well (RFC 5761, section 4)."""
    return b"\x80" <= data[:1] < b"\xc0" <= data[1:2] < b"\xe0"


def parse_rtp(data: bytes) -> RtpPacket:
    """Reads a packet as it came from the socket.

    Raises:
        RtpError: Malformed, or RTCP on the same port (second byte 192 to 223, RFC 5761).
    """
    end = len(data)
    if end < _HEADER.size:
        raise RtpError(f"an RTP packet of {end} bytes (at least 12)")
    flags, kind, sequence_number, timestamp, ssrc = _HEADER.unpack_from(data)
    if flags >> 6 != 2:
        raise RtpError(f"RTP version {flags >> 6}, not 2")
    if 192 <= kind <= 223:
        raise RtpError("an RTCP packet")
    start = first = _HEADER.size + 4 * (flags & 15)
    if flags & 16:
        if end < start + 4:
            raise RtpError("the header extension is cut off")
        start += 4 + 4 * (data[start + 2] << 8 | data[start + 3])
    if flags & 32:
        end -= data[-1] or end  # padding of no length is none
    if start > end:
        raise RtpError("header and padding are longer than the packet")
    sources = struct.unpack_from(f"!{flags & 15}I", data, _HEADER.size) if flags & 15 else ()
    profile = data[first] << 8 | data[first + 1] if start > first else 0
    extension = data[first + 4 : start]
    is_marked = kind > 127
    return RtpPacket(
        *(kind & 127, sequence_number, timestamp, ssrc, is_marked, data[start:end], sources, profile, extension, data)
    )


class Kind(Enum):
    """What a packet is to its listener."""

    SOUND = auto()
    SILENCE = auto()
    """Sound of which the sender says that there is none: it need not be decoded."""
    OTHER = auto()
    """Comfort noise, a key that was pressed: it has its number among the others, and its timestamp says nothing."""


class Ordered(NamedTuple):
    """A packet that left the jitter buffer, in order. Numbers do not wrap; they count on within one `source`."""

    source: int
    """Counts the senders' clocks: a new SSRC, a restarted sender or a clock set back makes a new one."""
    sequence_number: int
    timestamp: int
    payload: bytes
    kind: Kind = Kind.SOUND


@dataclass(frozen=True, slots=True)
class JitterStatistics:
    """Packets since the start."""

    received: int
    late: int
    """Came after their hole had been given up; dropped."""
    duplicates: int
    given_up: int
    """Were not there when their hole was given up."""
    strays: int
    """Of another SSRC or a far sequence number, without a successor; dropped."""
    sources: int


@dataclass(slots=True)
class _Arrived:
    ssrc: int
    sequence_number: int
    timestamp: int
    payload: bytes
    at: float
    kind: Kind


class JitterBuffer:
    """Puts the packets of one track in order. Time is monotonic seconds, given with each call.

    A sender is followed until another one (a new SSRC, or a jump of more than 100 sequence numbers) sends two
    consecutive packets while it is silent: a single stray packet changes nothing. A jump that its timestamps explain is
    a long hole, and no other sender.

    Args:
        clock_rate: Of the timestamps, Hz; 48,000 for Opus whatever it carries.
    """

    def __init__(self, clock_rate: int = 48_000) -> None:
        self._bound, self._longest_hole = int(MAX_WAITING_S * clock_rate), int(MAX_HOLE_S * clock_rate)
        self._ssrc: int | None = None
        self._source = 0
        self._next = 0  # sequence number to leave next, not wrapped
        self._timestamp: int | None = None  # of the packet that left last, not wrapped
        self._waiting: dict[int, _Arrived] = {}
        self._missed: deque[int] = deque(maxlen=MAX_JUMP_PACKETS)  # numbers given up
        self._stray: _Arrived | None = None
        self._received = self._late = self._duplicates = self._given_up = self._strays = 0

    @property
    def statistics(self) -> JitterStatistics:
        """The counters now."""
        return JitterStatistics(
            self._received, self._late, self._duplicates, self._given_up, self._strays, self._source
        )

    def push(
        self,
        sequence_number: int,
        timestamp: int,
        ssrc: int,
        payload: bytes,
        now: float,
        kind: Kind = Kind.SOUND,
    ) -> list[Ordered]:
        """Takes a packet (16-bit number, 32-bit timestamp) and returns those that may leave, in order."""
        self._received += 1
        sequence_number &= 0xFFFF
        is_next = sequence_number == self._next & 0xFFFF and ssrc == self._ssrc
        if is_next and not self._waiting and self._stray is None:
            return [self._leave(timestamp, payload, kind)]
        packet = _Arrived(ssrc, sequence_number, timestamp, payload, now, kind)
        if self._ssrc is None:
            return self._follow(packet)
        offset = _signed(packet.sequence_number - self._next, 16)
        if ssrc != self._ssrc or not -MAX_JUMP_PACKETS <= offset <= MAX_JUMP_PACKETS:
            return self._probe(packet)
        if self._stray is not None:
            self._strays += 1
            self._stray = None
        self._keep(self._next + offset, packet)
        return self._release(now)

    def tick(self, now: float) -> list[Ordered]:
        """Gives up what has been waited for long enough. Call it at `next_timer()`."""
        return self._release(now)

    def next_timer(self) -> float | None:
        """When `tick` has something to do, unless a packet comes before; None when nothing waits."""
        return min(packet.at for packet in self._waiting.values()) + REORDER_WAIT_S if self._waiting else None

    def _keep(self, number: int, packet: _Arrived) -> None:
        if number in self._waiting:
            self._duplicates += 1
        elif number >= self._next:
            self._waiting[number] = packet
        elif number in self._missed:
            self._missed.remove(number)
            self._late += 1
        else:
            self._duplicates += 1

    def _release(self, now: float) -> list[Ordered]:
        ordered = []
        while self._waiting:
            if self._next not in self._waiting:
                due = min(packet.at for packet in self._waiting.values()) + REORDER_WAIT_S - TIMER_SLACK_S
                if now < due and not self._is_full():
                    break
                first = min(self._waiting)
                self._given_up += first - self._next
                self._missed.extend(range(self._next, first))
                self._next = first
            ordered.append(self._let_go(self._waiting.pop(self._next)))
        return ordered

    def _is_full(self) -> bool:
        span = self._waiting[max(self._waiting)].timestamp - self._waiting[min(self._waiting)].timestamp
        return abs(_signed(span, 32)) >= self._bound or len(self._waiting) >= MAX_WAITING_PACKETS

    def _leave(self, timestamp: int, payload: bytes, kind: Kind) -> Ordered:
        if self._timestamp is not None and 0 < (step := (timestamp - self._timestamp) & 0xFFFFFFFF) < 1 << 31:
            self._timestamp += step if kind is not Kind.OTHER else 0
        elif self._timestamp is None or kind is not Kind.OTHER:  # a new sender, or its clock was set back
            self._source += 1
            self._timestamp = timestamp
        ordered = Ordered(self._source, self._next, self._timestamp, payload, kind)
        self._next += 1
        return ordered

    def _let_go(self, packet: _Arrived) -> Ordered:
        return self._leave(packet.timestamp, packet.payload, packet.kind)

    def _probe(self, packet: _Arrived) -> list[Ordered]:
        before, self._stray = self._stray, packet
        if before is None:
            return []
        if before.ssrc != packet.ssrc or _signed(packet.sequence_number - before.sequence_number, 16) != 1:
            self._strays += 1
            return []
        left = self._release(math.inf)
        number = self._next + _signed(before.sequence_number - self._next, 16)
        if not self._is_behind_a_hole(before, number):
            return [*left, *self._follow(before), self._let_go(packet)]
        self._given_up += number - self._next
        self._next, self._stray = number, None
        self._missed.clear()
        return [*left, self._let_go(before), self._let_go(packet)]

    def _is_behind_a_hole(self, packet: _Arrived, number: int) -> bool:
        """Whether it is one of the sender that we follow, some time later."""
        if packet.ssrc != self._ssrc or self._timestamp is None or number < self._next:
            return False
        return 0 < _signed(packet.timestamp - self._timestamp, 32) <= self._longest_hole

    def _follow(self, packet: _Arrived) -> list[Ordered]:
        self._ssrc, self._stray, self._timestamp = packet.ssrc, None, None
        self._next = packet.sequence_number
        self._missed.clear()
        return [self._let_go(packet)]


def _signed(difference: int, bits: int) -> int:
    """A difference of two wrapping counters, of either sign."""
    half = 1 << bits - 1
    return (difference + half) % (2 * half) - half
