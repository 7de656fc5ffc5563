"""Audio ring of one stream: the last minute of it, at absolute sample positions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from common.audio.hysteresis import FRAME_SAMPLES
from common.audio.pcm import SAMPLE_RATE
from transcriber.core.windows import Samples

CAPACITY_SAMPLES = 60 * SAMPLE_RATE
"""Kept per stream (1.9 MB). The server stops reading a client before undecided audio fills it."""
LEVEL_FRAME_SAMPLES = FRAME_SAMPLES
"""Length of a step when levels are measured, 32 ms."""


class AudioRing:
    """A ring of int16 samples addressed by their index on the stream's clock.

    Args:
        start: Index of the first sample.
        capacity: Samples kept.
    """

    def __init__(self, start: int = 0, capacity: int = CAPACITY_SAMPLES) -> None:
        self._ring = np.empty(capacity, np.int16)  # not zeros: what is never written costs no memory
        self.start = start
        """The oldest sample kept."""
        self.end = start
        """The sample after the newest."""

    def append(self, samples: Samples) -> None:
        """Adds samples, shape (n,), n ≤ capacity; the oldest ones go."""
        position = self.end % len(self._ring)
        head = min(len(samples), len(self._ring) - position)
        self._ring[position : position + head] = samples[:head]
        self._ring[: len(samples) - head] = samples[head:]
        self.end += len(samples)
        self.start = max(self.start, self.end - len(self._ring))

    def read(self, first: int, last: int) -> Samples:
        """A copy of samples first…last-1, as far as they are kept."""
        first, last = max(first, self.start), min(last, self.end)
        if last <= first:
            return np.zeros(0, np.int16)
        left, right = first % len(self._ring), last % len(self._ring)
        if left < right:
            return self._ring[left:right].copy()
        return np.concatenate((self._ring[left:], self._ring[:right]))


def levels(samples: Samples) -> npt.NDArray[np.float32]:
    """Root mean square of each whole frame of 512 samples, full scale = 1.0; shape (n // 512,)."""
    frames = (
        samples[: len(samples) // LEVEL_FRAME_SAMPLES * LEVEL_FRAME_SAMPLES]
        .reshape(-1, LEVEL_FRAME_SAMPLES)
        .astype(np.float32)
    )
    root: npt.NDArray[np.float32] = np.sqrt(np.mean(np.square(frames), axis=1))
    return root / np.float32(32768)


def loudest(samples: Samples) -> float:
    """The level of the loudest frame, full scale = 1.0; 0.0 for less than one frame."""
    return float(levels(samples).max(initial=0.0))


def quiet_point(samples: Samples) -> int:
    """Index of the middle of the quietest 160 ms: there a word is least likely to be cut. Takes at least 160 ms."""
    window = 5
    energy = np.convolve(np.square(levels(samples)), np.ones(window), mode="valid")
    return (int(energy.argmin()) * 2 + window) * LEVEL_FRAME_SAMPLES // 2
