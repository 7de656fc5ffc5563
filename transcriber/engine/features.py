"""Log-mel features in the sizes that the encoder gets: the speech, and silence up to the next of a few lengths.

The encoder's cost grows faster than its input (30 s cost twenty times as much as 6 s), so it gets as little as it can.
Whisper was trained on audio padded with digital silence, which after its normalisation is the quietest value that a
window may hold. faster-whisper pads features with 0.0 instead, which sounds like steady noise; a model that was trained
that way says so: `"feature_padding": 0.0` in its preprocessor_config.json. Word error rates of the demo model, which
was, on the 24 bundled clips, in percent, padded with 0.0 / with silence: 0.0 / 0.6 clean, 1.2 / 3.1 with noise at
20 dB; with the full 30 s 0.0 / 3.7 and 1.2 / 4.9.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.audio.pcm import SAMPLE_RATE, to_float
from transcriber.core.windows import Samples
from transcriber.engine.base import ModelError

Features = npt.NDArray[np.float32]
"""Log-mel, shape (mels, frames of 10 ms)."""
HOP_SAMPLES = 160
BUCKET_FRAMES = (600, 800, 1000, 1500, 3000)
"""Sizes of encoder inputs."""
MARGIN_FRAMES = 30
"""Padding that follows the speech at least."""
FULL_WINDOW_FRAMES = 3000
"""What Whisper was trained on, and the most that it takes."""
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
        padding: The value after the speech; None: what silence is in that window.
    """

    def __init__(self, log_mel: Callable[[npt.NDArray[np.float32]], Features], padding: float | None) -> None:
        self._log_mel = log_mel
        self._padding = padding

    def __call__(self, samples: Samples, *, full: bool = False) -> tuple[Features, int]:
        """The features of `MIN_WINDOW_SAMPLES` to `MAX_WINDOW_SAMPLES` in the smallest bucket that holds them, or the
        full one, and how many of the frames are not padding. Raises ValueError for more samples."""
        if len(samples) > MAX_WINDOW_SAMPLES:
            most = MAX_WINDOW_SAMPLES // SAMPLE_RATE
            raise ValueError(f"a window of {len(samples) / SAMPLE_RATE:.1f} s: the model takes {most} s at most")
        speech = self._log_mel(to_float(samples))[:, :-1]
        frames = speech.shape[1]
        padding = silence(speech) if self._padding is None else self._padding
        return pad(speech, FULL_WINDOW_FRAMES if full else bucket(frames), padding), frames


def bucket(frames: int) -> int:
    """The smallest encoder input that holds this many frames and the margin."""
    return next((size for size in BUCKET_FRAMES if frames + MARGIN_FRAMES <= size), FULL_WINDOW_FRAMES)


def pad(features: Features, frames: int, value: float) -> Features:
    """Features of this many frames, at least as many as there are."""
    return np.pad(features, ((0, 0), (0, frames - features.shape[1])), constant_values=value)


def silence(features: Features) -> float:
    """What digital silence is in a window with these features."""
    return max(MEL_FLOOR, float(features.max()) - MEL_RANGE)


def padding_of(folder: Path) -> float | None:
    """The value that a model's folder asks for. Raises ModelError."""
    return _number(folder, "feature_padding")


def longest_of(folder: Path) -> float:
    """Seconds of a window with several sentences, at most, for the model of a folder. Raises ModelError."""
    return _number(folder, "longest_window") or FULL_WINDOW_FRAMES * HOP_SAMPLES / SAMPLE_RATE


def _number(folder: Path, name: str) -> float | None:
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return None
    try:
        config: Any = json.loads(path.read_text(encoding="utf-8"))
        value = config.get(name)
        return None if value is None else float(value)
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is wrong ({error}): {name} is a number, or is left out.") from error
