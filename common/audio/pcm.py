"""Samples: 16 kHz mono int16 between the parts, float32 in [-1, 1] for speech detectors, level in dBFS for people."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Samples per second, everywhere behind the codec."""


def to_float(pcm: NDArray[np.int16]) -> NDArray[np.float32]:
    """int16 of any shape to float32 in [-1, 1)."""
    return pcm.astype(np.float32) / np.float32(32768)


def to_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """float32 of any shape to int16; what is outside [-1, 1] is clipped."""
    scaled: NDArray[np.float32] = np.rint(samples * np.float32(32768))
    return np.clip(scaled, -32768, 32767).astype(np.int16)


def dbfs(pcm: NDArray[np.int16]) -> float:
    """RMS level of int16 samples, shape (n,): 0 for a full-scale square wave, -inf for zeros and for no samples."""
    wide = pcm.astype(np.float32)
    energy = float(np.dot(wide, wide))
    return 10 * math.log10(energy / len(pcm) / 32768**2) if energy > 0 else -math.inf
