"""A receiver of telephony's payloads: G.711 and plain samples (L16), at their own rates, to 16 kHz mono.

These have no loss concealment of their own. What is lost, up to 60 ms, is the last pitch period again and again, more
and more quiet (after G.711, appendix I); the rest of a hole is silence.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bot.codecs.formats import Codec, Format
from bot.codecs.receiver import MAX_FILL_SAMPLES, PayloadError, Pcm, Receiver
from bot.codecs.resample import Resampler
from common.audio.pcm import SAMPLE_RATE

MAX_PAYLOAD_BYTES = 9_000
"""Bytes, of the largest datagrams that networks carry."""
FADE_SAMPLES = SAMPLE_RATE * 60 // 1000
"""Of made-up audio, until it is silent."""
PITCH_SAMPLES = range(SAMPLE_RATE // 400, SAMPLE_RATE // 66)
"""Periods of voices: 400 to 66 Hz."""
_COMPARED_SAMPLES = 320
"""Samples in which the period is looked for."""


class SampleReceiver(Receiver):
    """The path of a track whose payloads are samples, one after the other.

    Args:
        form: PCMU, PCMA or L16.
    """

    def __init__(self, form: Format) -> None:
        super().__init__(form.clock_rate)
        self._form = form
        self._start()

    def _start(self) -> None:
        self._resampler = Resampler(self._form.clock_rate)
        self._past = np.zeros(0, np.int16)

    def _samples(self, payload: bytes) -> int:
        size = self._form.channels * (2 if self._form.codec == "l16" else 1)
        if not 0 < len(payload) <= MAX_PAYLOAD_BYTES or len(payload) % size:
            raise PayloadError(f"{len(payload)} bytes of {self._form.codec}")
        samples = len(payload) // size * SAMPLE_RATE // self._form.clock_rate
        if not 0 < samples <= SAMPLE_RATE:  # GStreamer fills packets to the MTU: 173 ms of G.711
            raise PayloadError(f"{samples * 1000 / SAMPLE_RATE:g} ms of {self._form.codec} in one packet")
        return samples

    def _pcm(self, payload: bytes) -> NDArray[np.int16]:
        return self._remember(self._resampler.push(decoded(self._form, payload)))

    def _recover(self, payload: bytes, gap: int) -> Iterator[Pcm]:
        if gap > MAX_FILL_SAMPLES:
            return
        pcm = continued(self._past, gap)
        self._concealed += gap
        self._remember(pcm)
        yield self._emit(pcm)

    def _remember(self, pcm: NDArray[np.int16]) -> NDArray[np.int16]:
        self._past = np.concatenate([self._past, pcm])[-(PITCH_SAMPLES.stop + _COMPARED_SAMPLES) :]
        return pcm


def decoded(form: Format, payload: bytes) -> NDArray[np.int16]:
    """A payload's samples at its own rate, int16 of shape (n,); two channels are mixed to one."""
    pcm: NDArray[np.int16]
    if form.codec != "l16":
        pcm = _expansion(form.codec)[np.frombuffer(payload, np.uint8)]
        return pcm
    pcm = np.frombuffer(payload, ">i2").astype(np.int16)
    if form.channels == 2:
        pcm = (pcm.reshape(-1, 2).astype(np.int32).sum(axis=1) // 2).astype(np.int16)
    return pcm


@cache
def _expansion(codec: Codec) -> NDArray[np.int16]:
    """What each byte of G.711 stands for, shape (256,): ITU-T G.711, tables 1a to 2b, as 16 bits."""
    code = np.arange(256) ^ (0xFF if codec == "pcmu" else 0x55)
    segment, step = code >> 4 & 7, code & 15
    if codec == "pcmu":
        size, is_negative = (((step << 3) + 0x84) << segment) - 0x84, (code & 0x80) > 0
    else:
        size, is_negative = (
            ((step << 4) + np.where(segment, 0x108, 8)) << np.maximum(segment - 1, 0),
            (code & 0x80) == 0,
        )
    linear: NDArray[np.int16] = np.where(is_negative, -size, size).astype(np.int16)
    return linear


def continued(past: NDArray[np.int16], samples: int) -> NDArray[np.int16]:
    """What may have followed: the last pitch period again, fading within 60 ms; zeros where too little is known.

    Args:
        past: int16 at 16 kHz, shape (n,).
        samples: How many are wanted.
    """
    longest = PITCH_SAMPLES.stop
    if len(past) < longest + _COMPARED_SAMPLES:
        return np.zeros(samples, np.int16)
    line = past[-(longest + _COMPARED_SAMPLES) :].astype(np.float64)
    now = line[-_COMPARED_SAMPLES:]
    windows = np.lib.stride_tricks.sliding_window_view(line, _COMPARED_SAMPLES)[longest - np.asarray(PITCH_SAMPLES)]
    likeness = windows @ now / np.sqrt(np.einsum("ij,ij->i", windows, windows) + 1.0)
    period = PITCH_SAMPLES[int(likeness.argmax())]
    again = np.resize(line[-period:], samples)
    return np.rint(again * np.clip(1 - np.arange(samples) / FADE_SAMPLES, 0, 1)).astype(np.int16)
