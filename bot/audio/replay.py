"""A replay buffer: audio that the transcriber has not decided about yet, bounded, to be sent again after a break."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from common.audio.pcm import SAMPLE_RATE

CAPACITY_SAMPLES = 60 * SAMPLE_RATE
"""Samples per track (60 s, 1.92 MB), and so per lane, which holds one track's at a time. When full, the oldest goes."""


class Replay:
    """The lane's audio from the first undecided sample on, with the ends of utterances marked.

    Positions are samples on the lane's clock, which counts every sample ever appended.
    """

    def __init__(self) -> None:
        self._audio = np.zeros(SAMPLE_RATE, np.int16)  # grows by doubling up to CAPACITY_SAMPLES
        self._ends: list[int] = []  # ends of utterances after `start`, ascending
        self.start = 0
        """First sample kept: everything before is decided (or dropped)."""
        self.end = 0
        """One past the last sample appended."""

    def append(self, pcm: NDArray[np.int16]) -> None:
        """Adds int16 samples of shape (n,), n at most `CAPACITY_SAMPLES`, to the lane."""
        self.drop(self.end + len(pcm) - CAPACITY_SAMPLES)
        kept = len(self)
        if kept + len(pcm) > len(self._audio):
            grown = np.zeros(min(max(2 * len(self._audio), kept + len(pcm)), CAPACITY_SAMPLES), np.int16)
            grown[:kept] = self._audio[:kept]
            self._audio = grown
        self._audio[kept : kept + len(pcm)] = pcm
        self.end += len(pcm)

    def mark_end(self) -> None:
        """The utterance ends with the last sample. Where that is decided already, too: a server must be told."""
        if self.end and self.end not in self._ends[-1:]:
            self._ends.append(self.end)

    def decided(self, sample: int) -> None:
        """Everything before `sample` is decided: it is never sent again. Stale and impossible positions are ignored."""
        if self.start < sample <= self.end:
            self._forget(sample)

    def drop(self, sample: int) -> None:
        """Gives up everything before `sample`. The end of an utterance that is lost with it is where the rest begins:
        what the server has heard of that utterance must still be told from what follows."""
        sample = min(sample, self.end)
        if sample > self.start:
            is_end_lost = any(self.start < end <= sample for end in self._ends)
            self._forget(sample)
            self._ends[:0] = [sample] * is_end_lost

    def read(self, position: int, limit: int) -> NDArray[np.int16]:
        """Up to `limit` samples from `position` on, never across the end of an utterance. Empty when there is none."""
        stop = min([self.end, position + limit, *(end for end in self._ends if end > position)])
        return self._audio[position - self.start : stop - self.start].copy()

    def ends_at(self, position: int) -> bool:
        """Whether an utterance ends exactly at `position`."""
        return position in self._ends

    def __len__(self) -> int:
        """Samples kept."""
        return self.end - self.start

    def _forget(self, sample: int) -> None:
        kept = self.end - sample
        self._audio[:kept] = self._audio[sample - self.start : sample - self.start + kept].copy()
        self.start = sample
        self._ends = [end for end in self._ends if end > sample]
