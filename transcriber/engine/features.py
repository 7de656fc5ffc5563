"""Log-mel features in the sizes that the encoder gets: the speech, and silence up to the next of a few lengths.

The encoder's cost grows faster than its input (30 s cost four times as much as 15 s), so it gets as little as was
measured to do for its model (`window_sizes.py`). Whisper was trained on audio padded with digital silence, which after
its normalisation is the quietest value that a window may hold. faster-whisper pads features with 0.0 instead, which
sounds like steady noise; the demo model was trained that way. Its word error rates on the 24 bundled clips, in percent,
padded with 0.0 / with silence: 0.0 / 0.6 clean, 1.2 / 3.1 with noise at 20 dB; with the full 30 s 0.0 / 3.7 and
1.2 / 4.9.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from common.audio.pcm import SAMPLE_RATE, to_float
from transcriber.core.windows import Window
from transcriber.engine.window_sizes import FULL_WINDOW_FRAMES, WindowSizes

Features = npt.NDArray[np.float32]
"""Log-mel, shape (mels, frames of 10 ms)."""
HOP_SAMPLES = 160
BUCKET_FRAMES = (600, 800, 1000, 1250, 1500, FULL_WINDOW_FRAMES)
"""Sizes of encoder inputs: few, as windows of one size are decoded together."""
MIN_WINDOW_SAMPLES = 2 * HOP_SAMPLES
"""Two frames: CTranslate2 aligns no words to less."""
MAX_WINDOW_SAMPLES = FULL_WINDOW_FRAMES * HOP_SAMPLES
MEL_RANGE = 2.0
"""Nothing is more than this below the loudest log-mel value of its window (8 bels, scaled by a quarter)."""
MEL_FLOOR = -1.5
"""The log-mel value of no sound at all."""


class Extractor:
    """Makes encoder inputs of samples.

    Args:
        log_mel: float32 samples in [-1, 1] → log-mel features, normalised as Whisper's, with one frame too many.
        sizes: What the model's encoder may get.
    """

    def __init__(self, log_mel: Callable[[npt.NDArray[np.float32]], Features], sizes: WindowSizes) -> None:
        self._log_mel = log_mel
        self.sizes = sizes

    def __call__(self, window: Window, language: str | None = None) -> tuple[Features, int]:
        """The features of `MIN_WINDOW_SAMPLES` to `MAX_WINDOW_SAMPLES` in the smallest bucket that they may have, and
        how many of the frames are not padding. Raises ValueError for more samples."""
        samples = window.samples
        if window.before:
            samples = np.concatenate((window.before.samples, samples))
        if len(samples) > MAX_WINDOW_SAMPLES:
            most = MAX_WINDOW_SAMPLES // SAMPLE_RATE
            raise ValueError(f"a window of {len(samples) / SAMPLE_RATE:.1f} s: the model takes {most} s at most")
        speech = self._log_mel(to_float(samples))[:, :-1]
        frames = speech.shape[1]
        return self.padded(speech, self.size(window, frames, language)), frames

    def size(self, window: Window, frames: int, language: str | None) -> int:
        """The smallest bucket that a window with so many frames may have in this language; None: nobody knows it yet,
        and in the shortest it will be found."""
        sizes = self.sizes
        least = sizes.finals(language, hurried=window.hurried) if window.careful else sizes.partial
        is_full = window.full or (window.packed and sizes.packed >= FULL_WINDOW_FRAMES)
        return FULL_WINDOW_FRAMES if is_full else bucket(max(least, frames + sizes.margin))

    def padded(self, speech: Features, size: int) -> Features:
        """So many frames, of which those after the speech are as the model had them in training."""
        return pad(speech, size, silence(speech) if self.sizes.padding is None else self.sizes.padding)


def bucket(frames: int) -> int:
    """The smallest encoder input of this many frames; the full one where there is none."""
    return next((size for size in BUCKET_FRAMES if frames <= size), FULL_WINDOW_FRAMES)


def pad(features: Features, frames: int, value: float) -> Features:
    """Features of this many frames, at least as many as there are."""
    return np.pad(features, ((0, 0), (0, frames - features.shape[1])), constant_values=value)


def silence(features: Features) -> float:
    """What digital silence is in a window with these features."""
    return max(MEL_FLOOR, float(features.max()) - MEL_RANGE)
