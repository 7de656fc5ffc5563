"""Resampling to 16 kHz."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bot.codecs.resample import Resampler

MIN_SNR_DB = 80.0


def sine(rate: int, hertz: float, seconds: float = 1.0) -> NDArray[np.int16]:
    """A tone at -10 dBFS."""
    return np.round(10_000 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.int16)


def resampled(rate: int, pcm: NDArray[np.int16], block: int) -> NDArray[np.int16]:
    """In blocks, as packets bring them."""
    resampler = Resampler(rate)
    return np.concatenate([resampler.push(pcm[at : at + block]) for at in range(0, len(pcm), block)])


@pytest.mark.parametrize(
    ("rate", "hertz"),
    [(8_000, 300), (8_000, 3_400), (11_025, 4_500), (24_000, 7_000), (32_000, 7_000), (44_100, 1_000), (48_000, 7_000)],
)
def test_a_sine_stays_a_sine(rate: int, hertz: int) -> None:
    """Of the same pitch, at most 1 dB more quiet, with 80 dB between it and everything else."""
    out = resampled(rate, sine(rate, hertz), rate // 50)
    assert abs(len(out) - 16_000) <= 1
    steady = out[1_000:-1_000].astype(float)
    at = 2 * np.pi * hertz * np.arange(len(steady)) / 16_000
    basis = np.stack([np.sin(at), np.cos(at)], 1)
    fitted, *_ = np.linalg.lstsq(basis, steady, rcond=None)
    error = steady - basis @ fitted
    assert 10 * np.log10((basis @ fitted).var() / error.var()) >= MIN_SNR_DB
    assert np.hypot(*fitted) >= 0.89 * 10_000


def test_what_16_khz_cannot_hold_is_gone() -> None:
    """A tone above 8 kHz does not come back as another one."""
    assert np.abs(resampled(48_000, sine(48_000, 10_000), 960)[1_000:]).max() <= 2


def test_blocks_make_no_difference() -> None:
    """Whatever packets hold, also a single sample."""
    pcm = sine(44_100, 700, 0.05)
    assert (resampled(44_100, pcm, 882) == resampled(44_100, pcm, 7)).all()
    assert (resampled(44_100, pcm, 1) == resampled(44_100, pcm, len(pcm))).all()


def test_our_own_rate_passes_through() -> None:
    """Nothing is to be done."""
    pcm = sine(16_000, 700, 0.1)
    assert (resampled(16_000, pcm, 320) == pcm).all()
