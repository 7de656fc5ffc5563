"""A receiver: one track's packets to continuous 16 kHz PCM on the sender's clock, in order, with holes filled.

What is not there is treated by cause and length:

- lost packets, up to 120 ms: in-band FEC restores the last frame before the packet that ends the hole, concealment
  (PLC) makes up the rest;
- silence that was not sent (DTX: the timestamp jumps, the sequence number does not), up to 120 ms: zeros, so that the
  speech detector hears continuous audio through an encoder's hiccups;
- anything longer: nothing. The position jumps, and the speech gate decides what it means.

`OpusReceiver` is here; that of G.711 and plain samples is in `bot.codecs.samples`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bot.codecs.rtp import JitterBuffer, JitterStatistics, Kind, Ordered
from common.audio.opus import STEP_SAMPLES, OpusDecoder, OpusError, frame_samples, packet_samples
from common.audio.pcm import SAMPLE_RATE

MAX_FILL_SAMPLES = 1920
"""Samples (120 ms) up to which a hole is filled."""
OPUS_CLOCK_RATE = 48_000
"""Ticks per second of Opus's RTP clock, whatever it carries."""


class PayloadError(ValueError):
    """A payload that is not what its payload type says."""


class Pcm(NamedTuple):
    """A piece of a track.

    Args:
        source: Which of the sender's clocks `position` counts on; larger for each new one.
        position: Index of `pcm[0]` on that clock, 16 kHz. Never before the end of the piece before it.
        pcm: int16 mono, shape (n,), 0 < n <= 1920.
    """

    source: int
    position: int
    pcm: NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class ReceiverStatistics:
    """Samples by where they came from, and packets by what became of them."""

    decoded: int
    """Samples from a packet's own payload."""
    restored: int
    """Samples from in-band FEC."""
    concealed: int
    """Samples made up."""
    silence: int
    """Samples of zeros for short pauses in sending."""
    skipped: int
    """Samples that the position jumped over."""
    refused: int
    """Packets that were not what they should be."""
    packets: JitterStatistics


class Receiver(ABC):
    """The path of one track. Give it packets as they come and call `tick` at `next_timer()`.

    Args:
        clock_rate: Of the timestamps, Hz.
    """

    def __init__(self, clock_rate: int) -> None:
        self._buffer = JitterBuffer(clock_rate)
        self._clock_rate = clock_rate
        self._source = 0
        self._origin = 0  # timestamp of position 0 of this source
        self._end = 0  # position after the last piece
        self._sequence_number = 0  # of the last packet decoded
        self._decoded = self._restored = self._concealed = self._silence = self._skipped = self._refused = 0

    @property
    def statistics(self) -> ReceiverStatistics:
        """The counters now."""
        return ReceiverStatistics(
            self._decoded,
            self._restored,
            self._concealed,
            self._silence,
            self._skipped,
            self._refused,
            self._buffer.statistics,
        )

    def push(
        self,
        sequence_number: int,
        timestamp: int,
        ssrc: int,
        payload: bytes,
        now: float,
        kind: Kind = Kind.SOUND,
    ) -> list[Pcm]:
        """Takes a packet as it came; returns the audio that is due, in order. `now` is monotonic seconds."""
        heard: list[Pcm] = []
        for packet in self._buffer.push(sequence_number, timestamp, ssrc, payload, now, kind):
            self._decode(packet, heard)
        return heard

    def tick(self, now: float) -> list[Pcm]:
        """Returns the audio behind a hole that has been waited for long enough."""
        heard: list[Pcm] = []
        for packet in self._buffer.tick(now):
            self._decode(packet, heard)
        return heard

    def next_timer(self) -> float | None:
        """When to call `tick` if no packet comes before; None for not at all."""
        return self._buffer.next_timer()

    @abstractmethod
    def _start(self) -> None:
        """Another sender: whatever is known of the one before is of no use."""

    @abstractmethod
    def _samples(self, payload: bytes) -> int:
        """Length of a payload in 16 kHz samples. Raises OpusError or PayloadError."""

    @abstractmethod
    def _pcm(self, payload: bytes) -> NDArray[np.int16]:
        """A payload's samples. Raises OpusError or PayloadError."""

    @abstractmethod
    def _recover(self, payload: bytes, gap: int) -> Iterator[Pcm]:
        """Fills the `gap` samples of lost packets in front of a payload, as far as that is worth it."""

    def _decode(self, packet: Ordered, heard: list[Pcm]) -> None:
        source, sequence_number, timestamp, payload, kind = packet
        if kind is Kind.OTHER:
            self._sequence_number = sequence_number  # not lost, and nothing to hear
            return
        try:
            samples = self._samples(payload)
            if source != self._source:
                self._begin(packet)
            position = (timestamp - self._origin) * SAMPLE_RATE // self._clock_rate
            if position > self._end:  # else in order; or the sender's packets overlap: one is put behind the other
                heard.extend(self._bridge(position, sequence_number, payload))
            pcm = self._pcm(payload) if kind is Kind.SOUND else np.zeros(samples, np.int16)
        except (OpusError, PayloadError):
            self._refused += 1  # its place stays a hole, which the next packet fills
            return
        self._sequence_number = sequence_number
        self._decoded += len(pcm)
        for start in range(0, len(pcm), MAX_FILL_SAMPLES):
            piece = self._emit(pcm[start : start + MAX_FILL_SAMPLES])
            heard.append(piece)

    def _begin(self, packet: Ordered) -> None:
        self._start()
        self._source = packet.source
        self._origin = packet.timestamp
        self._end = 0
        self._sequence_number = packet.sequence_number - 1

    def _bridge(self, position: int, sequence_number: int, payload: bytes) -> Iterator[Pcm]:
        """What comes between the last piece and a packet at a later position; leaves `_end` there."""
        gap = position - self._end
        lost = sequence_number > self._sequence_number + 1
        if not lost and gap <= MAX_FILL_SAMPLES:
            self._silence += gap
            yield self._emit(np.zeros(gap, np.int16))
        elif lost:
            yield from self._recover(payload, gap)
        self._skipped += position - self._end
        self._end = position

    def _emit(self, pcm: NDArray[np.int16]) -> Pcm:
        piece = Pcm(self._source, self._end, pcm)
        self._end += len(pcm)
        return piece


class OpusReceiver(Receiver):
    """The path of a track of Opus packets."""

    def __init__(self) -> None:
        super().__init__(OPUS_CLOCK_RATE)
        self._start()

    def _start(self) -> None:
        self._decoder = OpusDecoder()

    def _samples(self, payload: bytes) -> int:
        return packet_samples(payload)

    def _pcm(self, payload: bytes) -> NDArray[np.int16]:
        return self._decoder.decode(payload)

    def _recover(self, payload: bytes, gap: int) -> Iterator[Pcm]:
        frame = frame_samples(payload)
        end = self._end + gap
        if gap <= MAX_FILL_SAMPLES:
            yield from self._conceal(gap - frame)
        if gap >= frame and (pcm := self._decoder.decode_fec(payload, frame)) is not None:
            self._skipped += end - frame - self._end
            self._end = end - frame
            self._restored += frame
            yield self._emit(pcm)
        elif gap <= MAX_FILL_SAMPLES:
            yield from self._conceal(end - self._end)

    def _conceal(self, samples: int) -> Iterator[Pcm]:
        if samples >= STEP_SAMPLES:
            pcm = self._decoder.conceal(samples // STEP_SAMPLES * STEP_SAMPLES)
            self._concealed += len(pcm)
            yield self._emit(pcm)
