"""Senders of one stream: whose packets are taken on a port that anybody can send to.

A sender is taken when two consecutive packets of a payload type of ours have come from one address (RFC 3550, A.1), and
is then pinned to that address: nobody else speaks in its place while it does. One that has been silent for a while may
be somewhere else: a server that was started again sends from another port.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass
from typing import TypeAlias

from bot.codecs.rtp import RtpPacket

Address: TypeAlias = tuple[str, int]
"""IP address without a zone, and port."""

RELEASE_S = 10.0
"""Of silence, after which another address may send in a sender's place."""
PROBATION_S = 2.0
"""Within so long the second packet must come."""
MAX_SENDERS = 64
"""Of one stream. Policy when full: more are refused, and counted."""
MAX_CANDIDATES = 64
"""Whose first packet is remembered. Policy when full: the oldest goes."""


class Rule:
    """Which addresses may send at all.

    Args:
        text: An address, address:port, a network, or None: any.
    """

    def __init__(self, text: str | None) -> None:
        self._network: ipaddress.IPv4Network | ipaddress.IPv6Network | None = None
        self._port: int | None = None
        if text is None:
            return
        try:
            self._network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            host, _, port = text.rpartition(":")
            self._network, self._port = ipaddress.ip_network(host.strip("[]")), int(port)

    @property
    def is_open(self) -> bool:
        """Whether nobody said anything."""
        return self._network is None

    def allows(self, source: Address) -> bool:
        """Whether packets from there may be ours."""
        if self._network is None:
            return True
        return ipaddress.ip_address(source[0]) in self._network and self._port in (None, source[1])


@dataclass(slots=True)
class _Pin:
    source: Address
    last: float


class Senders:
    """The senders of one stream.

    Args:
        rule: Which addresses may send.
        types: Payload types that make a sender one of ours.
        apart: Each SSRC is a sender of its own; else there is one, whatever its SSRC.
    """

    def __init__(self, rule: Rule, types: Container[int], *, apart: bool = False) -> None:
        self._rule, self._types, self._apart = rule, types, apart
        self._pins: dict[int | None, _Pin] = {}
        self._candidates: dict[tuple[int, Address], tuple[RtpPacket, float]] = {}
        self.refused: Counter[str] = Counter()
        """Packets that were not taken, by what was wrong: `source`, `type`, `senders` (too many)."""

    def admit(self, packet: RtpPacket, source: Address, now: float) -> list[RtpPacket]:
        """The packets that are to be heard now: this one, or with it the one before, or none."""
        key = packet.ssrc if self._apart else None
        pin = self._pins.get(key)
        if pin is not None and pin.source == source:
            pin.last = now
            return [packet]
        why = self._refusal(packet, pin, source, now)
        if why is not None:
            self.refused[why] += 1
            return []
        before = self._candidates.pop((packet.ssrc, source), None)
        if before is not None and now - before[1] <= PROBATION_S and _follows(packet, before[0]):
            self._pins[key] = _Pin(source, now)
            return [before[0], packet]
        self._candidates[packet.ssrc, source] = packet, now
        if len(self._candidates) > MAX_CANDIDATES:
            del self._candidates[next(iter(self._candidates))]
        return []

    def _refusal(self, packet: RtpPacket, pin: _Pin | None, source: Address, now: float) -> str | None:
        if not self._rule.allows(source):
            return "source"
        if pin is not None and now - pin.last < RELEASE_S:
            return "source"
        if self._apart and self._rule.is_open and not self._is_at_home(source, now):
            return "source"
        if packet.payload_type not in self._types:
            return "type"
        return "senders" if pin is None and len(self._pins) >= MAX_SENDERS else None

    def _is_at_home(self, source: Address, now: float) -> bool:
        """Without a rule all senders of a stream are at the address of the first, while one of them sends."""
        return all(pin.source[0] == source[0] for pin in self._pins.values() if now - pin.last < RELEASE_S)

    def is_from(self, ssrc: int, host: str) -> bool:
        """Whether somebody at this IP address may speak for an SSRC: RTCP may come from another port."""
        return self.host_of(ssrc) == host

    def host_of(self, ssrc: int) -> str | None:
        """The IP address that an SSRC sends from; None: nobody sends."""
        pin = self._pins.get(ssrc if self._apart else None)
        return None if pin is None else pin.source[0]

    def forget(self, ssrc: int) -> None:
        """This sender has gone: a next one begins anew."""
        self._pins.pop(ssrc if self._apart else None, None)


def _follows(packet: RtpPacket, before: RtpPacket) -> bool:
    return (packet.sequence_number - before.sequence_number) % 2**16 == 1
