"""An alignment of a room's mix with its tracks: how much later the mix comes, from how loud both are.

An egress mixes and encodes what it hears, and sends it when it likes: a tenth of a second later, or three seconds. Who
spoke is reported on the room's own time, so a mix that is taken for earlier or later than it is would get wrong names.
Both are measured in steps of 20 ms; the lag at which their levels follow each other is the delay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bot.audio.frame import AudioFrame
from bot.audio.timeline import Timeline
from common.audio.pcm import SAMPLE_RATE

STEP_SAMPLES = SAMPLE_RATE // 50
"""Samples (20 ms) of one level: as exact as the delay gets."""
WINDOW_STEPS = 600
"""Steps (12 s) that are compared, the latest: what stalled before, and may have shifted, is soon forgotten."""
MAX_DELAY_STEPS = 400
"""Steps (8 s) that the mix may come later."""
FLOOR_DBFS = -50.0
"""What is softer counts as silence."""
MIN_SPEECH_STEPS = 100
"""Steps (2 s) of sound, and as many of silence or of the rise and fall of speech, without which nothing follows."""
MIN_CORRELATION = 0.75
"""At the right lag levels correlate by 0.9 and more, after any codec."""
MIN_CORRELATION_LEAD = 0.1
"""By so much it must be better than any lag that is not next to it: what repeats itself has several."""
NEAR_STEPS = 15
"""Steps (0.3 s) that count as next to it: a syllable."""


class _Levels:
    """Energy of one road in steps, from a step on."""

    def __init__(self) -> None:
        self._begin = 0
        self._energy = np.zeros(0)

    def add(self, start: int, pcm: NDArray[np.int16]) -> None:
        """Adds samples from meeting sample `start` on."""
        first, last = start // STEP_SAMPLES, (start + len(pcm) - 1) // STEP_SAMPLES
        if not len(self._energy):
            self._begin = first
        if first < self._begin:
            return
        missing = last + 1 - self._begin - len(self._energy)
        if missing > 0:
            self._energy = np.concatenate([self._energy, np.zeros(missing)])
        steps = (start + np.arange(len(pcm))) // STEP_SAMPLES - self._begin
        np.add.at(self._energy, steps, (pcm / 32768.0) ** 2)
        surplus = len(self._energy) - WINDOW_STEPS - MAX_DELAY_STEPS
        if surplus > 0:
            self._energy, self._begin = self._energy[surplus:], self._begin + surplus

    @property
    def levels(self) -> tuple[int, NDArray[np.float64]]:
        """The first step, and the level of each but for the last, which may not be full: dBFS, the floor at least."""
        energy = self._energy[:-1] / STEP_SAMPLES
        return self._begin, np.maximum(10 * np.log10(np.maximum(energy, 1e-12)), FLOOR_DBFS)


class Alignment:
    """Of one mix with the tracks of its room.

    Args:
        zero: Monotonic seconds, any: of the clock on which both are laid out.
    """

    def __init__(self, zero: float) -> None:
        self._zero = zero
        self._timelines: dict[str, Timeline] = {}
        self._tracks, self._mix = _Levels(), _Levels()

    def track(self, frame: AudioFrame) -> None:
        """A piece of a track."""
        self._tracks.add(self._place(frame), frame.pcm)

    def mix(self, frame: AudioFrame) -> None:
        """A piece of the mix, `arrival` as it came."""
        self._mix.add(self._place(frame), frame.pcm)

    def _place(self, frame: AudioFrame) -> int:
        line = self._timelines.setdefault(frame.track_id, Timeline(self._zero))
        return line.place(frame.position, frame.source, frame.arrival, len(frame.pcm))

    def delay(self) -> float | None:
        """Seconds by which the mix comes later than the tracks; None: that is not certain yet."""
        begin, tracks = self._tracks.levels
        mix_begin, mix = self._mix.levels
        scores = np.zeros(MAX_DELAY_STEPS)
        for lag in range(MAX_DELAY_STEPS):
            ahead = mix_begin - lag - begin  # of the tracks' steps, those that the mix has no counterpart of
            one, other = tracks[max(ahead, 0) :], mix[max(-ahead, 0) :]
            common = min(len(one), len(other))
            if common >= 2 * MIN_SPEECH_STEPS:
                latest = slice(max(common - WINDOW_STEPS, 0), common)
                scores[lag] = _correlation(one[latest], other[latest])
        best = int(np.argmax(scores))
        elsewhere = np.delete(scores, slice(max(best - NEAR_STEPS, 0), best + NEAR_STEPS + 1))
        if scores[best] < MIN_CORRELATION or scores[best] - elsewhere.max() < MIN_CORRELATION_LEAD:
            return None
        return best * STEP_SAMPLES / SAMPLE_RATE


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Pearson's, of levels; 0 where either says too little."""
    loud = one > FLOOR_DBFS
    if int(loud.sum()) < MIN_SPEECH_STEPS or float(one.std()) < 1.0 or float(other.std()) < 1.0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
