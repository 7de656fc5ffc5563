"""A stream of plain RTP, and the voices in it: one participant's, a mix, or one for each SSRC that comes."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from bot.codecs.rtp import RtpPacket
from bot.codecs.senders import Address, Rule, Senders
from bot.drivers.rtp_decoder import Decoder
from bot.platforms.rtp.plan import StreamPlan

NAME_WAIT_S = 1.0
"""A new SSRC is held for so long, for RTCP to say whose it is; its audio is not lost, and keeps its time."""
MAX_HELD_PACKETS = 100
"""Packets of it. Policy when full: the oldest goes."""
GONE_S = 0.5
"""After a goodbye, in which packets that were on their way are dropped."""
MAX_DESCRIBED_SSRCS = 256
"""SSRCs of which it is remembered what they call themselves. Policy when full: the oldest goes."""
MAX_ID_CHARACTERS = 128


@dataclass(slots=True, eq=False)
class Voice:
    """Somebody's track, or a mix's."""

    track_id: str
    participant_id: str | None
    """None: a mix."""
    name: str
    ssrc: int | None
    """The one that was heard last; None: none yet."""
    last: float
    """When anything was heard of it, RTCP too: seconds on the loop's clock."""
    decoder: Decoder | None = None
    payload_type: int = -1
    """That of the packet for which the decoder was made."""


@dataclass(slots=True)
class _Held:
    """A new SSRC whose name is waited for."""

    timer: asyncio.TimerHandle
    packets: deque[tuple[RtpPacket, float]] = field(default_factory=lambda: deque(maxlen=MAX_HELD_PACKETS))


class Room(Protocol):
    """Who hears of voices."""

    def joined(self, voice: Voice) -> None:
        """It is there."""

    def renamed(self, voice: Voice) -> None:
        """It has another display name."""

    def parted(self, voice: Voice) -> None:
        """It is gone."""

    def decoder(self, stream: Stream, voice: Voice, payload_type: int) -> Decoder:
        """What is to decode it."""


class Stream:
    """What comes of one plan; lives on the event loop that made it.

    Args:
        plan: What is to come.
        room: Hears of its voices.
    """

    def __init__(self, plan: StreamPlan, room: Room) -> None:
        self.plan = plan
        self.ssrc = plan.stream.ssrc
        self.port = plan.port
        """Where it comes to, once that is open."""
        self._room = room
        self._is_apart = plan.stream.participant is None and not plan.stream.mix
        self.senders = Senders(Rule(plan.stream.source), frozenset(plan.formats), apart=self._is_apart)
        self._loop = asyncio.get_running_loop()
        self._voices: dict[int | None, Voice] = {}
        self._held: dict[int, _Held] = {}
        self._gone: dict[int, float] = {}  # SSRCs that have said goodbye, and when
        self._described: dict[tuple[int, str | None], tuple[str, str]] = {
            (ssrc, None): (cname, "") for ssrc, cname in plan.names.items()
        }  # CNAME and name, by SSRC and by the host that said so; None: the session description
        self._count = 0

    @property
    def is_heard(self) -> bool:
        """Whether somebody sends."""
        return any(voice.ssrc is not None for voice in self._voices.values())

    def begin(self, now: float) -> None:
        """Who is configured is there from now on."""
        if not self._is_apart:
            self._configured(now)

    def packet(self, packet: RtpPacket, source: Address, now: float) -> None:
        """Takes a packet that was sent to us, whoever sent it."""
        key = packet.ssrc if self._is_apart else None
        if now - self._gone.get(packet.ssrc, -math.inf) < GONE_S:
            return
        admitted = self.senders.admit(packet, source, now)
        if len(admitted) > 1:
            self._begun(key, packet.payload_type)
        for each in admitted:
            self._take(key, each, now)

    def _begun(self, key: int | None, payload_type: int) -> None:
        """A sender is pinned: one in another's place may have a payload type that its decoder does not know."""
        voice = self._voices.get(key)
        if voice is None or voice.decoder is None or payload_type in self.plan.heard_as(voice.payload_type):
            return
        voice.decoder.finish()
        voice.decoder = None

    def _take(self, key: int | None, packet: RtpPacket, now: float) -> None:
        voice = self._voices.get(key)
        if voice is None and not self._is_apart:
            voice = self._configured(now)
        elif voice is None:
            voice = self._new(packet, now)
        if voice is not None:
            self._hear(voice, packet, now)

    def _hear(self, voice: Voice, packet: RtpPacket, now: float) -> None:
        voice.ssrc, voice.last = packet.ssrc, now
        if voice.decoder is None:
            voice.payload_type = packet.payload_type
            voice.decoder = self._room.decoder(self, voice, packet.payload_type)
        voice.decoder.packet(packet, now)

    # --- who it is

    def _configured(self, now: float) -> Voice:
        """The one voice of the stream."""
        who = self.plan.stream.participant
        voice = Voice(self.plan.track_id, who.id if who else None, (who.name or who.id) if who else "", None, now)
        return self._open(None, voice)

    def _new(self, packet: RtpPacket, now: float) -> Voice | None:
        """The voice of a new SSRC, if it is known or waited for long enough whose it is; else its packet is held."""
        known = self._known(packet.ssrc)
        if known is not None:
            return self._open(packet.ssrc, self._named(packet.ssrc, *known, now))
        if packet.ssrc not in self._held:
            timer = self._loop.call_later(NAME_WAIT_S, self._release, packet.ssrc)
            self._held[packet.ssrc] = _Held(timer)
        self._held[packet.ssrc].packets.append((packet, now))
        return None

    def _known(self, ssrc: int) -> tuple[str, str] | None:
        """CNAME and name of an SSRC, if they were said by whoever sends it."""
        for said_by in (self.senders.host_of(ssrc), None):
            cname, name = self._described.get((ssrc, said_by), ("", ""))
            if cname:
                return cname, name
        return None

    def _named(self, ssrc: int, cname: str, name: str, now: float) -> Voice:
        self._count += not name and not cname
        own = f"ssrc-{ssrc:08x}{self.plan.mark}"
        plain = "".join(each if each.isprintable() and not each.isspace() else "_" for each in cname)
        identity = plain[:MAX_ID_CHARACTERS] or own
        return Voice(own, identity, name or cname or f"Speaker {self._count}{self.plan.mark}", ssrc, now)

    def _release(self, ssrc: int) -> None:
        """Nobody has said whose it is, or somebody has: it is heard."""
        held = self._held.pop(ssrc, None)
        if held is None:
            return
        held.timer.cancel()
        voice = self._open(ssrc, self._named(ssrc, *(self._known(ssrc) or ("", "")), self._loop.time()))
        for packet, at in held.packets:
            self._hear(voice, packet, at)

    def described(self, ssrc: int, cname: str, name: str, host: str) -> None:
        """RTCP from this host says what an SSRC calls itself. Without a name it takes none away: SFUs say no more."""
        former = self._described.pop((ssrc, host), None)
        if not name and former is not None and former[0] == cname:
            name = former[1]
        self._described[ssrc, host] = cname, name
        if len(self._described) > MAX_DESCRIBED_SSRCS:
            del self._described[next(key for key in self._described if key[1] is not None)]
        if not self._is_apart or not self.senders.is_from(ssrc, host):
            return
        self._release(ssrc)
        voice = self._voices.get(ssrc)
        if voice is not None and (name or cname) not in ("", voice.name):
            voice.name = name or cname
            self._room.renamed(voice)

    # --- who is there

    def _open(self, key: int | None, voice: Voice) -> Voice:
        self._voices[key] = voice
        self._room.joined(voice)
        return voice

    def alive(self, ssrc: int, now: float) -> None:
        """RTCP of a sender came."""
        voice = self._voices.get(ssrc if self._is_apart else None)
        if voice is not None:
            voice.last = now

    def goodbye(self, ssrc: int, now: float) -> None:
        """RTCP of a sender says that it has gone; one that goes on under another SSRC has not."""
        key = ssrc if self._is_apart else None
        self._release(ssrc)  # said in less time than its name is waited for
        voice = self._voices.get(key)
        if voice is not None and voice.ssrc == ssrc:
            self._dismiss(key, voice)
            self._gone[ssrc] = now

    def dismiss_silent(self, now: float, after: float) -> None:
        """Whoever was not heard of for so many seconds is gone."""
        for key, voice in list(self._voices.items()):
            if now - voice.last >= after:
                self._dismiss(key, voice)
        self._gone = {ssrc: at for ssrc, at in self._gone.items() if now - at < GONE_S}

    def _dismiss(self, key: int | None, voice: Voice) -> None:
        del self._voices[key]
        if voice.ssrc is not None:
            self.senders.forget(voice.ssrc)
        if voice.decoder is not None:
            voice.decoder.finish()
        self._room.parted(voice)

    def _forget_held(self, ssrc: int) -> None:
        held = self._held.pop(ssrc, None)
        if held is not None:
            held.timer.cancel()

    def close(self) -> None:
        """Nothing is heard afterwards, and nobody said to have gone."""
        for ssrc in list(self._held):
            self._forget_held(ssrc)
        for voice in self._voices.values():
            if voice.decoder is not None:
                voice.decoder.close()
        self._voices.clear()
