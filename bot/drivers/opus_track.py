"""An Opus track: RTP packets of one sender in, audio frames out, timers inside. Every RTP-like source feeds one."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Container

from bot.audio.frame import AudioFrame
from bot.codecs.receiver import OpusReceiver, Pcm, ReceiverStatistics

_sources = itertools.count(1)  # a track's next connection has another clock


class OpusTrack:
    """One track, from packets (RFC 3550, RFC 7587) to frames, in order; lives on the event loop that made it.

    Args:
        track_id: What the frames are labelled with.
        audio: Called with every frame, from the event loop.
        payload_types: Those that are Opus here; packets of others are counted and dropped. None: all are.
    """

    def __init__(
        self,
        track_id: str,
        audio: Callable[[AudioFrame], None],
        payload_types: Container[int] | None = None,
    ) -> None:
        self._track_id, self._audio, self._payload_types = track_id, audio, payload_types
        self._loop = asyncio.get_running_loop()
        self._receiver = OpusReceiver()
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
        self, sequence_number: int, timestamp: int, ssrc: int, payload_type: int, payload: bytes, now: float
    ) -> None:
        """Takes a packet as it came.

        Args:
            sequence_number: 16 bits.
            timestamp: 32 bits, 48 kHz.
            ssrc: The sender's clock.
            payload_type: 7 bits.
            payload: One Opus packet.
            now: When it arrived, seconds on the loop's clock.
        """
        if self._closed:
            return
        if self._payload_types is not None and payload_type not in self._payload_types:
            self.foreign += 1
            return
        self.packets += 1
        self._emit(self._receiver.push(sequence_number, timestamp, ssrc, payload, now), now)

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
                self._clock, self._source = piece.source, next(_sources)
            self._audio(AudioFrame(self._track_id, piece.pcm, piece.position, self._source, now))
        due = self._receiver.next_timer()
        if self._timer is not None and (due is None or self._timer.when() != due):
            self._timer.cancel()
            self._timer = None
        if due is not None and self._timer is None and not self._closed:
            self._timer = self._loop.call_at(due, self._tick)
