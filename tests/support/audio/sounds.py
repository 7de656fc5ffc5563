"""Sounds made from numbers, for tests that need something like a voice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def voice(seconds: float, seed: int = 0) -> NDArray[np.int16]:
    """Harmonics of a moving pitch, in syllables of 4 Hz, over faint noise: 16 kHz mono int16."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * 16_000)) / 16_000
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * time)) / 16_000
    sound = 0.2 * np.sum([np.sin(k * phase) / k for k in range(1, 20)], axis=0)
    sound = sound * np.clip(np.sin(2 * np.pi * 4 * time), 0, 1) + 0.003 * rng.standard_normal(len(time))
    return np.asarray(np.clip(sound, -1, 1) * 32767, np.int16)


def white_noise(seconds: float, level: float) -> NDArray[np.int16]:
    """Of this RMS (full scale is 1.0): 16 kHz mono int16."""
    return np.random.default_rng(3).normal(0, level * 32768, int(seconds * 16_000)).astype(np.int16)


def pitch(pcm: NDArray[np.int16]) -> float | None:
    """The dominant frequency in Hz of the last half second, int16 at 16 kHz; None: there is less of it, or no sound."""
    last = pcm[-8000:].astype(np.float64)
    if last.size < 8000 or np.abs(last).max() < 200:
        return None
    return float(np.argmax(np.abs(np.fft.rfft(last * np.hanning(last.size)))) * 16_000 / last.size)
