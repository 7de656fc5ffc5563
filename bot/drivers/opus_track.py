"""A track of packets: RTP of one sender in, audio frames out, timers inside. Every RTP-like source feeds one."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable, Container

from bot.audio.frame import AudioFrame
from bot.codecs.receiver import OpusReceiver, Pcm, Receiver, ReceiverStatistics
from bot.codecs.rtp import Kind

_sources = itertools.count(1)  # a track's next connection has another clock


def next_source() -> int:
    """A number for a clock that no track has had (`AudioFrame.source`)."""
    return next(_sources)


class PacketTrack:
    """One track, from packets (RFC 3550) to frames, in order; lives on the event loop that made it.

    Args:
        track_id: What the frames are labelled with.
        audio: Called with every frame, from the event loop.
        receiver: Reads the payloads.
        payload_types: Those that it can read; packets of others are counted and dropped. None: all.
    """

    def __init__(
        self,
        track_id: str,
        audio: Callable[[AudioFrame], None],
        receiver: Receiver,
        payload_types: Container[int] | None = None,
    ) -> None:
        self._track_id, self._audio, self._payload_types = track_id, audio, payload_types
        self._loop = asyncio.get_running_loop()
        self._receiver = receiver
        self._timer: asyncio.TimerHandle | None = None
        self._clock = self._source = 0  # the receiver's count of clocks, and ours
        self._closed = False
        self.packets = 0
        """Packets taken."""
        self.foreign = 0
        """Packets of other payload types, dropped."""

    @property
    def statistics(self) -> ReceiverStatistics:
        """What became of the packets."""
        return self._receiver.statistics

    def packet(
        self,
        sequence_number: int,
        timestamp: int,
        ssrc: int,
        payload_type: int,
        payload: bytes,
        now: float,
        kind: Kind = Kind.SOUND,
    ) -> None:
        """Takes a packet as it came.

        Args:
            sequence_number: 16 bits.
            timestamp: 32 bits, of the receiver's clock rate.
            ssrc: The sender's clock.
            payload_type: 7 bits.
            payload: As the receiver reads it: one Opus packet.
            now: When it arrived, seconds on the loop's clock.
            kind: What is known of it without reading it.
        """
        if self._closed:
            return
        if self._payload_types is not None and payload_type not in self._payload_types:
            self.foreign += 1
            return
        self.packets += 1
        self._emit(self._receiver.push(sequence_number, timestamp, ssrc, payload, now, kind), now)

    def finish(self) -> None:
        """What waits behind a hole comes now: nothing else will. No frame comes afterwards."""
        if not self._closed:
            self._emit(self._receiver.tick(math.inf), self._loop.time())
        self.close()

    def close(self) -> None:
        """No frame comes afterwards. May be called again."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        now = self._loop.time()
        self._emit(self._receiver.tick(now), now)

    def _emit(self, heard: list[Pcm], now: float) -> None:
        for piece in heard:
            if piece.source != self._clock:
                self._clock, self._source = piece.source, next_source()
            self._audio(AudioFrame(self._track_id, piece.pcm, piece.position, self._source, now))
        due = self._receiver.next_timer()
        if self._timer is not None and (due is None or self._timer.when() != due):
            self._timer.cancel()
            self._timer = None
        if due is not None and self._timer is None and not self._closed:
            self._timer = self._loop.call_at(due, self._tick)


class OpusTrack(PacketTrack):
    """A track of Opus packets (RFC 7587), with a clock of 48 kHz.

    Args:
        track_id: What the frames are labelled with.
        audio: Called with every frame, from the event loop.
        payload_types: Those that are Opus here; packets of others are counted and dropped. None: all are.
    """

    def __init__(
        self, track_id: str, audio: Callable[[AudioFrame], None], payload_types: Container[int] | None = None
    ) -> None:
        super().__init__(track_id, audio, OpusReceiver(), payload_types)
