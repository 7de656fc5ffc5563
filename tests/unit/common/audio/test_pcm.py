"""Samples and levels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from common.audio.pcm import dbfs, to_float, to_int16


def test_every_sample_survives_the_way_to_float_and_back() -> None:
    """All 65,536 values come back, and floats stay within [-1, 1)."""
    pcm = np.arange(-32768, 32768).astype(np.int16)
    samples = to_float(pcm)
    assert samples.dtype == np.float32
    assert samples.min() == -1
    assert samples.max() < 1
    assert np.array_equal(to_int16(samples), pcm)


def test_too_loud_is_clipped() -> None:
    """Values outside [-1, 1] do not wrap around."""
    assert to_int16(np.array([-3, 1, 2], np.float32)).tolist() == [-32768, 32767, 32767]


@pytest.mark.parametrize(
    ("pcm", "level"),
    [([-32768, -32768], 0.0), ([16384, -16384], -6.02), ([1], -90.31), ([0, 0], -math.inf), ([], -math.inf)],
)
def test_level(pcm: list[int], level: float) -> None:
    """RMS against full scale; silence has no level."""
    assert dbfs(np.array(pcm, np.int16)) == pytest.approx(level, abs=0.01)
