"""Resampling to 16 kHz: a stream of int16 at one rate to a stream at ours, by a polyphase filter (numpy alone).

A windowed sinc (Kaiser, 80 dB) that ends at 92 % of the narrower band; each output sample is one dot product of the
phase that lies nearest before it. Measured (`bench/rtp.md`): sines come through with 84 dB SNR and more.
"""

from __future__ import annotations

from functools import cache
from math import gcd

import numpy as np
from numpy.typing import NDArray

from common.audio.pcm import SAMPLE_RATE

HALF_WIDTH = 24
"""Zero crossings of the sinc to either side: 3 ms of delay at 8 kHz, 0.5 ms at 48 kHz."""
PASSBAND = 0.92
"""Of the narrower Nyquist band; what lies above is the filter's slope."""
KAISER_BETA = 8.0
"""80 dB of attenuation."""


class Resampler:
    """One stream's rate conversion to 16 kHz mono. Its output is late by half the filter, and so always causal.

    Args:
        rate: Of the input, Hz.
    """

    def __init__(self, rate: int) -> None:
        common = gcd(rate, SAMPLE_RATE)
        self._up, self._down = SAMPLE_RATE // common, rate // common
        self._phases = _phases(self._up, self._down)
        self._history = np.zeros(self._phases.shape[1] - 1, np.float32)
        self._offset = 0  # of the next output sample, in steps of the input's rate x `up`, from the next input sample

    def push(self, pcm: NDArray[np.int16]) -> NDArray[np.int16]:
        """Takes int16 of shape (n,), returns int16 of shape (m,): over the stream m is n x 16,000 / rate, to one."""
        if self._up == self._down:
            return pcm
        taps = self._phases.shape[1]
        line = np.concatenate([self._history, pcm.astype(np.float32)])
        at = np.arange(self._offset, len(pcm) * self._up, self._down)
        self._offset += len(at) * self._down - len(pcm) * self._up
        windows = np.lib.stride_tricks.sliding_window_view(line, taps)[at // self._up]
        out: NDArray[np.float32] = np.einsum("ij,ij->i", windows, self._phases[at % self._up])
        self._history = line[-(taps - 1) :]
        return np.clip(np.rint(out), -32768, 32767).astype(np.int16)


@cache
def _phases(up: int, down: int) -> NDArray[np.float32]:
    """The filter by phases, shape (up, taps): row p makes the sample that lies p / up of a step after an input one."""
    cut = PASSBAND * min(1.0, up / down)  # of the input's Nyquist frequency
    half = int(np.ceil(HALF_WIDTH / cut))
    # Tap k weighs the input sample at `k - taps + 1` from the newest one that a window has.
    distance = np.arange(2 * half)[None, :] - (2 * half - 1) + half - np.arange(up)[:, None] / up
    window = np.i0(KAISER_BETA * np.sqrt(np.clip(1 - (distance / half) ** 2, 0, 1))) / np.i0(KAISER_BETA)
    taps = cut * np.sinc(cut * distance) * window
    return np.asarray(taps / taps.sum(axis=1, keepdims=True), np.float32)
