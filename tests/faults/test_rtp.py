"""RTP as networks and senders make it, on a virtual clock: what is heard of numbered tones, and where it is placed."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from bot.audio.timeline import Timeline
from bot.codecs.receiver import OpusReceiver, Pcm
from common.audio.opus import OpusEncoder
from tests.support.fakes.scripted_engine import RATE, TONES
from tests.support.measures import note
from tests.support.seeds import FULL

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
PITCHES = tuple(TONES)
FRAME_S, FRAME_TICKS = 0.02, 960
CYCLE_S = 7 * 5
"""Tone k sounds in second k; after so many seconds the packets are the same again."""
LOSS, DUPLICATED, REORDERED, JITTER_S, LATE_S = 0.05, 0.01, 0.02, 0.060, 0.045
SLICE_S = 0.05
"""Pieces of what was heard in which a tone is looked for."""


@functools.cache
def payloads() -> tuple[bytes, ...]:
    """Opus packets of one cycle: another tone each second."""
    encoder = OpusEncoder(fec=True, loss_percent=10)
    time = np.arange(CYCLE_S * RATE) / RATE
    pitch = np.array([PITCHES[second % len(PITCHES)] for second in range(CYCLE_S)]).repeat(RATE)
    pcm = (8000 * np.sin(2 * np.pi * pitch * time)).astype(np.int16)
    return tuple(encoder.encode(frame) for frame in pcm.reshape(-1, 320))


@dataclass(frozen=True, slots=True)
class Packet:
    """One on its way. `sent` and `arrives`: seconds."""

    sent: float
    arrives: float
    sequence_number: int
    timestamp: int
    ssrc: int
    payload: bytes


class Ear:
    """A receiver and its timeline: what is heard, at its place in the meeting."""

    def __init__(self, seconds: float) -> None:
        self.receiver, self.timeline = OpusReceiver(), Timeline(0.0)
        self.heard = np.zeros(round((seconds + 5) * RATE), np.int16)
        self.samples = 0
        self.backwards = 0
        self._end = 0

    def take(self, packet: Packet) -> None:
        """One packet, as it arrives; timers that were due before come first."""
        while (timer := self.receiver.next_timer()) is not None and timer <= packet.arrives:
            self._place(self.receiver.tick(timer), timer)
        pieces = self.receiver.push(
            packet.sequence_number, packet.timestamp, packet.ssrc, packet.payload, packet.arrives
        )
        self._place(pieces, packet.arrives)

    def _place(self, pieces: list[Pcm], now: float) -> None:
        for piece in pieces:
            start = self.timeline.place(piece.position, piece.source, now, len(piece.pcm))
            self.backwards += max(0, self._end - start)
            self.samples += len(piece.pcm)
            self._end = start + len(piece.pcm)
            room = self.heard[start : self._end]
            room[:] = piece.pcm[: len(room)]

    def tone_at(self, second: float) -> int:
        """The pitch that was placed there; 0 where it is quiet."""
        first = round(second * RATE)
        part = self.heard[first : first + round(SLICE_S * RATE)].astype(np.float64)
        if len(part) == 0 or np.abs(part).max() < 1000:
            return 0
        return round(float(np.abs(np.fft.rfft(part)).argmax()) / SLICE_S / 400) * 400


def network(seconds: float, chance: random.Random) -> Iterator[Packet]:
    """5 % lost, up to 60 ms late, 2 % overtaken, 1 % twice; in the order of arrival."""
    arriving = []
    for index in range(round(seconds / FRAME_S)):
        sent = index * FRAME_S
        payload = payloads()[index % len(payloads())]
        for _ in range(1 + (chance.random() < DUPLICATED)):
            if chance.random() < LOSS:
                continue
            late = chance.uniform(0.0, JITTER_S) + LATE_S * (chance.random() < REORDERED)
            arriving.append(
                Packet(sent, sent + late, (65_000 + index) % 2**16, (2**32 - 5000 + FRAME_TICKS * index) % 2**32, 7,
                       payload)
            )  # fmt: skip
    yield from sorted(arriving, key=lambda packet: packet.arrives)


def test_a_bad_network_is_heard_through(seed: int) -> None:
    """Loss, jitter, reordering, duplicates for ten minutes: tones are where they were sent, none twice, no drift."""
    seconds = 600 if FULL else 70
    ear = Ear(seconds)
    for packet in network(seconds, random.Random(seed)):
        ear.take(packet)
    right = [
        ear.tone_at(second + part) == PITCHES[second % CYCLE_S % len(PITCHES)]
        for second in range(seconds)
        for part in np.arange(0.1, 0.9, SLICE_S)
    ]
    heard = 100 * sum(right) / len(right)
    errors = [onset_error(ear, second, second) for second in range(1, seconds - 1)]
    drift = 1000 * abs(float(np.median(errors[-20:]) - np.median(errors[:20])))
    counted = ear.receiver.statistics
    decoded = 100 * (counted.decoded + counted.restored) / (seconds * RATE)
    note("test_a_bad_network_is_heard_through", seed, heard_percent=heard, decoded_percent=decoded, drift_ms=drift,
         off_ms=1000 * float(np.percentile(np.abs(errors), 95)))  # fmt: skip
    assert decoded >= 94.5
    assert heard >= 94.5
    assert drift <= 20
    assert ear.samples <= seconds * RATE
    assert ear.backwards <= ear.samples / 100


STEP_S = 0.005


def onset_error(ear: Ear, second: int, true: float) -> float:
    """By how much the change to the tone of a second is placed off its true time, seconds."""
    before, after = PITCHES[(second - 1) % CYCLE_S % len(PITCHES)], PITCHES[second % CYCLE_S % len(PITCHES)]
    steps = np.arange(true - 0.25, true + 0.25, STEP_S)
    share = [pitch_power(ear.heard, step, after) > pitch_power(ear.heard, step, before) for step in steps]
    return float(steps[share.index(True)]) - true if True in share else 0.25


def pitch_power(pcm: NDArray[np.int16], second: float, hertz: int, width: float = 0.02) -> float:
    """How much of a tone there is around a moment."""
    first = round((second - width / 2) * RATE)
    part = pcm[max(first, 0) : first + round(width * RATE)].astype(np.float64)
    return float(abs(np.exp(-2j * np.pi * hertz * np.arange(len(part)) / RATE) @ part))


@dataclass
class Sender:
    """Sends the cycle's packets with a clock and counters that something happens to."""

    rate: float
    sequence_number: int = 65_500
    timestamp: int = 2**32 - 48_000 * 5
    ssrc: int = 1
    index: int = 0
    time: float = 0.5

    def play(self, seconds: float) -> Iterator[Packet]:
        """So much of its sound, in its own time."""
        for _ in range(round(seconds / FRAME_S)):
            payload = payloads()[self.index % len(payloads())]
            yield Packet(self.time, self.time, self.sequence_number % 2**16, self.timestamp % 2**32, self.ssrc, payload)
            self.index += 1
            self.sequence_number += 1
            self.timestamp += FRAME_TICKS
            self.time += FRAME_S / self.rate

    def pause(self, seconds: float) -> None:
        """Nothing is sent; the timestamp goes on."""
        self.timestamp += round(seconds * 48_000)
        self.time += seconds / self.rate


def new_ssrc(sender: Sender, chance: random.Random) -> None:
    """Another stream of the same speaker, as signalled."""
    sender.ssrc, sender.sequence_number, sender.timestamp = 2, chance.randrange(2**16), chance.randrange(2**32)


def pause(sender: Sender, chance: random.Random) -> None:
    """Ten seconds of nothing, as with DTX."""
    sender.pause(10.0)


def jump(sender: Sender, chance: random.Random) -> None:
    """The timestamp is somewhere else, in the same stream."""
    sender.timestamp += chance.choice([-1, 1]) * chance.randrange(10 * 48_000, 3600 * 48_000)


def restart(sender: Sender, chance: random.Random) -> None:
    """Sequence number and timestamp begin anew, in the same stream."""
    sender.sequence_number += 20_000
    sender.timestamp += chance.randrange(2**31, 2**32)


@pytest.mark.parametrize("event", [new_ssrc, pause, jump, restart], ids=lambda event: event.__name__)
def test_what_a_sender_does_to_its_clock_moves_no_word(
    event: Callable[[Sender, random.Random], None], seed: int
) -> None:
    """Both counters wrap around, the clock is 200 ppm off, and something happens in the middle: 40 ms at most."""
    chance = random.Random(seed)
    ppm = chance.choice([-200, 200])
    sender = Sender(1 + ppm * 1e-6)
    ear = Ear(60)
    onsets: list[tuple[int, float]] = []
    for packet in two_parts(sender, event, chance):
        if sender.index % 50 == 0:
            onsets.append((sender.index // 50, packet.sent))
        ear.take(packet)
    errors = [abs(onset_error(ear, second, sent)) for second, sent in onsets if second % 20 > 1]
    note("test_what_a_sender_does_to_its_clock_moves_no_word", seed, off_ms=1000 * max(errors))
    assert len(errors) > 25
    assert max(errors) <= 0.040


def two_parts(
    sender: Sender, event: Callable[[Sender, random.Random], None], chance: random.Random
) -> Iterator[Packet]:
    """20 s, the event, and 20 s more."""
    yield from sender.play(20.0)
    event(sender, chance)
    yield from sender.play(20.0)
