"""A track's speech gate: cuts it into utterances; what is between them is not worth anybody's decoding time.

Frames of 512 samples get a speech probability. A run of speech opens the gate a moment *before* its onset; silence
closes it, after a hangover that bridges the pauses inside a sentence. Everything is on the meeting's sample clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from common.audio.hysteresis import FRAME_SAMPLES, SpeechHysteresis, Thresholds
from common.audio.pcm import SAMPLE_RATE, dbfs, to_float
from common.audio.silero import SpeechProbability

SPLICE_SAMPLES = 32
"""Samples (2 ms) of a gap that are bridged by a line instead of zeros: corrections of the clock must not click."""
CLEAR_PROBABILITY = 0.9
"""From here on a frame is speech beyond doubt: three of four in speech that is recorded well, none in music on hold."""
WARM_UP_FRAMES = 16
"""Of silence below the floor no more than the last 0.5 s is shown to the speech detector, once something follows: most
microphones are open and silent most of the time, and its network would cost more than all the rest of the plane."""


@dataclass(frozen=True, slots=True)
class GateSettings:
    """How the gate hears. Times count in frames of 32 ms, rounded up."""

    threshold: float = 0.5
    """Speech probability from which a frame is speech."""
    release: float = 0.35
    """Once there has been some: below this a frame is silence."""
    floor_dbfs: float = -60.0
    """Below it nothing is speech."""
    onset_s: float = 0.09
    """Speech that it takes to open: clicks are shorter."""
    pre_roll_s: float = 0.4
    """Audio sent from before the onset."""
    hangover_s: float = 0.32
    """Silence after which an utterance is over: ten frames. Words are heard as after 0.38 s, in 4 % more utterances;
    0.29 s cut soft speech in the middle of a sentence (bench/hangover.md)."""
    tail_s: float = 0.2
    """Audio sent after the last speech; the rest of the hangover is only sent if speech goes on."""
    pad_s: float = 0.05
    """From the last speech frame to the reported end. At most `tail_s`."""
    max_gap_s: float = 1.0
    """A gap in the track up to this is silence; a longer one ends the utterance."""
    stall_timeout_s: float = 0.31
    """Beyond the hangover: after it a track that stopped sending in mid-speech is taken as silent."""
    dtx_timeout_s: float = 0.1
    """The same for one that stopped after `tail_s` of silence, as senders with DTX do."""


@dataclass(frozen=True, slots=True)
class Onset:
    """An utterance begins."""

    start: int
    """Meeting sample of the first audio that will be sent."""
    speech: int
    """Meeting sample of the first speech."""


@dataclass(frozen=True, slots=True)
class Speech:
    """Audio of the utterance; contiguous with the one before it."""

    start: int
    pcm: NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class End:
    """The utterance is over."""

    end: int
    """One past its last sample of speech, with a little padding."""
    clear: int = 0
    """Samples of it that are speech beyond doubt."""


GateEvent: TypeAlias = Onset | Speech | End


class SpeechGate:
    """The gate of one track.

    Memory: at most a pre-roll and an onset, or a hangover, of audio: under 1 s; and as much again of silence.

    Args:
        probability: The speech detector of this track.
        settings: Thresholds and times.
    """

    def __init__(self, probability: SpeechProbability, settings: GateSettings | None = None) -> None:
        self._probability = probability
        self._settings = settings = settings or GateSettings()
        onset, self._pre_roll, hangover, self._tail = (
            max(-int(-time * SAMPLE_RATE // FRAME_SAMPLES), 1)
            for time in (settings.onset_s, settings.pre_roll_s, settings.hangover_s, settings.tail_s)
        )
        self._partial = np.empty(0, np.int16)  # less than a frame
        self._next = 0  # meeting sample after all audio taken
        self._last = 0  # value of the sample before it
        self._is_fresh = True  # nothing taken since the start or a flush
        self._held: deque[NDArray[np.int16]] = deque()  # whole frames taken and not sent, the newest last
        self._unseen: deque[NDArray[np.int16]] = deque(maxlen=WARM_UP_FRAMES)  # silence that is not shown yet
        self._speech = SpeechHysteresis(Thresholds(onset, hangover, settings.threshold, settings.release))
        self._sent = 0  # meeting sample after the last one sent
        self._clear = 0  # samples beyond doubt, of the utterance or of what may become one

    def push(self, start: int, pcm: NDArray[np.int16]) -> list[GateEvent]:
        """Takes the next piece, int16 of shape (n,), and returns what follows from it.

        Audio from before the end of what was taken is dropped; a gap is filled with silence or ends the utterance.
        """
        events: list[GateEvent] = []
        gap = start - self._next
        if gap > self._settings.max_gap_s * SAMPLE_RATE:
            events += self.flush()
        if self._is_fresh:
            self._next = max(self._next, start)
            self._is_fresh = False
        elif gap > 0:
            events += self._take(self._bridge(gap, pcm))
        return events + self._take(pcm[max(self._next - start, 0) :])

    def idle(self, quiet: int) -> list[GateEvent]:
        """Ends an utterance whose track has stopped sending: nothing has come for the time of `quiet` samples.

        What comes later is a new utterance. Without this call, a track that stops (a sender with DTX, a cut network)
        stays in its utterance. How old what came last is does not matter: where we are late ourselves, more follows.
        """
        silent = quiet + len(self._partial) + self._speech.run * FRAME_SAMPLES
        settings = self._settings
        timeout_s = settings.dtx_timeout_s if self._speech.run >= self._tail else settings.stall_timeout_s
        if self._speech.is_open and silent > (settings.hangover_s + timeout_s) * SAMPLE_RATE:
            return self.flush()
        return []

    def flush(self) -> list[GateEvent]:
        """Nothing follows: ends the utterance, and starts anew with the next piece wherever it is."""
        events: list[GateEvent] = []
        if self._speech.is_open:
            if len(self._partial) and not self._speech.run:
                events.append(Speech(self._next - len(self._partial), self._partial))
                self._sent = self._next
            events.append(
                self._close(
                    self._next - (self._speech.run * FRAME_SAMPLES + len(self._partial) if self._speech.run else 0)
                )
            )
        self._held.clear()
        self._partial = np.empty(0, np.int16)
        self._speech.reset()
        self._is_fresh, self._clear = True, 0
        return events

    def _take(self, pcm: NDArray[np.int16]) -> list[GateEvent]:
        if not len(pcm):
            return []
        samples = np.concatenate([self._partial, pcm])
        at = self._next - len(self._partial)
        whole = len(samples) // FRAME_SAMPLES * FRAME_SAMPLES
        self._partial = samples[whole:].copy()
        self._last = int(samples[-1])
        self._next += len(pcm)
        events: list[GateEvent] = []
        for first in range(0, whole, FRAME_SAMPLES):
            events += self._hear(at + first, samples[first : first + FRAME_SAMPLES])
        return events

    def _bridge(self, gap: int, pcm: NDArray[np.int16]) -> NDArray[np.int16]:
        if gap > SPLICE_SAMPLES or not len(pcm):
            return np.zeros(gap, np.int16)
        return np.linspace(self._last, pcm[0], gap + 2)[1:-1].astype(np.int16)

    def _hear(self, start: int, frame: NDArray[np.int16]) -> Iterator[GateEvent]:
        probability = self._look(frame)
        self._clear += FRAME_SAMPLES * (probability >= CLEAR_PROBABILITY)
        self._held.append(frame)
        end = start + FRAME_SAMPLES
        if self._speech.is_open:
            yield from self._while_open(end, probability)
        else:
            yield from self._while_closed(end, probability)

    def _look(self, frame: NDArray[np.int16]) -> float:
        if dbfs(frame) < self._settings.floor_dbfs:
            self._unseen.append(frame)
            return 0.0
        for silent in self._unseen:
            self._probability(to_float(silent))
        self._unseen.clear()
        return self._probability(to_float(frame))

    def _while_open(self, end: int, probability: float) -> Iterator[GateEvent]:
        silence = self._speech.run + 1  # if this frame is silence, too
        edge = self._speech.feed(probability)
        if not self._speech.run and edge is None:
            yield self._send(end)
            return
        if silence <= self._tail:
            yield self._send(end)
        if edge is not None:
            yield self._close(end - silence * FRAME_SAMPLES)

    def _while_closed(self, end: int, probability: float) -> Iterator[GateEvent]:
        run = self._speech.run + 1  # if this frame is speech, too
        edge = self._speech.feed(probability)
        while len(self._held) > self._pre_roll + (run if edge else self._speech.run):
            self._held.popleft()
        if edge is None and not self._speech.run:
            self._clear = 0
        if edge is not None:
            yield Onset(end - len(self._held) * FRAME_SAMPLES, end - run * FRAME_SAMPLES)
            yield self._send(end)

    def _send(self, end: int) -> Speech:
        pcm = np.concatenate(self._held)
        self._held.clear()
        self._sent = end
        return Speech(end - len(pcm), pcm)

    def _close(self, last_speech: int) -> End:
        clear, self._clear = self._clear, 0
        return End(min(last_speech + round(self._settings.pad_s * SAMPLE_RATE), self._sent), clear)
