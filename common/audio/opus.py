"""Opus (RFC 6716) through libopus itself: 16 kHz mono out, with concealment and in-band FEC, which PyAV cannot do.

The library is the system's, else the one inside PyAV's wheel. It is loaded on first use.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from common.audio.pcm import SAMPLE_RATE

MAX_PAYLOAD_BYTES = 1500
"""Bytes. No network carries a larger packet; nothing larger (or empty) is given to libopus."""
MAX_SAMPLES = SAMPLE_RATE * 120 // 1000
"""An Opus packet holds at most 120 ms."""
STEP_SAMPLES = SAMPLE_RATE // 400
"""Samples of 2.5 ms, the unit of all Opus durations."""

_INVALID_PACKET = -4
_RESET_STATE = 4028
_SETTINGS = {"bitrate": 4002, "fec": 4012, "loss_percent": 4014, "dtx": 4016}
_APPLICATIONS = {"voip": 2048, "audio": 2049, "lowdelay": 2051}
# Frame sizes in units of 2.5 ms by the TOC byte's configuration number: SILK, hybrid, CELT (RFC 6716, table 2).
_FRAME_STEPS = (4, 8, 16, 24) * 3 + (4, 8) * 2 + (1, 2, 4, 8) * 4
_FRAME_SAMPLES = tuple(steps * STEP_SAMPLES for steps in _FRAME_STEPS)
_FRAME_COUNTS = (1, 2, 2, 0)  # by the TOC byte's last two bits; 0: the next byte says
_FIRST_CELT_ONLY = 16
_STEPS_OF_20_MS = 8
_STEREO = 4  # in the TOC byte


class OpusError(ValueError):
    """A payload that is not an Opus packet, or that libopus refuses."""


def packet_samples(payload: bytes) -> int:
    """Length of a packet in 16 kHz samples, read from its first bytes (RFC 6716, 3.1).

    Raises:
        OpusError: Empty, without frames, or longer than 120 ms.
    """
    if not payload:
        raise OpusError("an empty Opus payload")
    count = _FRAME_COUNTS[payload[0] & 3] or (payload[1] & 63 if len(payload) > 1 else 0)
    samples = count * _FRAME_SAMPLES[payload[0] >> 3]
    if not 0 < samples <= MAX_SAMPLES:
        raise OpusError(f"an Opus packet of {samples * 1000 / SAMPLE_RATE:g} ms (allowed: 2.5 to 120)")
    return samples


def frame_samples(payload: bytes) -> int:
    """Length of one frame of a non-empty packet in 16 kHz samples. In-band FEC restores one frame."""
    return _FRAME_SAMPLES[payload[0] >> 3]


def has_fec(payload: bytes) -> bool:
    """Whether a packet carries a copy of the frame before it (an LBRR frame, RFC 6716, 4.2.3 and 4.2.4)."""
    if not 0 < len(payload) <= MAX_PAYLOAD_BYTES or is_celt_only(payload):
        return False
    frames, sizes = (ctypes.c_void_p * 48)(), (ctypes.c_int16 * 48)()
    if library().opus_packet_parse(payload, len(payload), None, frames, sizes, None) <= 0 or not sizes[0]:
        return False
    flags = ctypes.string_at(frames[0] or 0, 1)[0]
    count = max(_FRAME_STEPS[payload[0] >> 3] // _STEPS_OF_20_MS, 1)  # each has a VAD flag, in front of the LBRR flag
    return bool(flags >> (7 - count) & 1 or (payload[0] & _STEREO and flags >> (6 - 2 * count) & 1))


def is_celt_only(payload: bytes) -> bool:
    """Whether a non-empty packet is in CELT-only mode, which knows no FEC."""
    return payload[0] >> 3 >= _FIRST_CELT_ONLY


@functools.cache
def library() -> ctypes.CDLL:
    """libopus, with the types of what is used here declared.

    Raises:
        OSError: There is none; the message says what to install.
    """
    for name in _candidates():
        try:
            opus = ctypes.CDLL(name)
        except OSError:
            continue
        return _declare(opus)
    raise OSError("libopus was not found: install it (Debian: `apt-get install libopus0`), or `pip install av`.")


def _candidates() -> Iterator[str]:
    yield "libopus.so.0"
    yield ctypes.util.find_library("opus") or "libopus"
    spec = importlib.util.find_spec("av")  # finds the package without importing it
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for pattern in ("av.libs/libopus*", "av/.dylibs/libopus*"):
            yield from map(str, Path(folder).parent.glob(pattern))


def _declare(opus: ctypes.CDLL) -> ctypes.CDLL:
    integer, pointer, data = ctypes.c_int32, ctypes.c_void_p, ctypes.c_char_p
    opus.opus_decoder_create.restype = opus.opus_encoder_create.restype = pointer
    opus.opus_decoder_create.argtypes = [integer, ctypes.c_int, ctypes.POINTER(ctypes.c_int)]
    opus.opus_encoder_create.argtypes = [integer, ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.c_int)]
    opus.opus_decode.argtypes = [pointer, data, integer, pointer, ctypes.c_int, ctypes.c_int]
    opus.opus_encode.argtypes = [pointer, pointer, ctypes.c_int, pointer, integer]
    opus.opus_decoder_destroy.argtypes = opus.opus_encoder_destroy.argtypes = [pointer]
    opus.opus_packet_parse.argtypes = [data, integer, pointer, pointer, pointer, pointer]
    opus.opus_strerror.restype = data
    opus.opus_get_version_string.restype = data
    # The ctl functions are variadic: fixed arguments only, the rest is converted by hand.
    opus.opus_decoder_ctl.argtypes = opus.opus_encoder_ctl.argtypes = [pointer, ctypes.c_int]
    return opus


class OpusDecoder:
    """One stream's decoder: packets to 16 kHz mono int16. Survives whatever it is given.

    Every error leaves it ready for the next packet: libopus rejects malformed packets before it touches its state, and
    after any other error the state is reset.
    """

    def __init__(self) -> None:
        self._opus = library()
        error = ctypes.c_int()
        self._decoder = ctypes.c_void_p(self._opus.opus_decoder_create(SAMPLE_RATE, 1, ctypes.byref(error)))
        self._out = np.empty(MAX_SAMPLES, np.int16)
        self._address = self._out.ctypes.data
        self._after_celt = False
        self.refused = 0
        """Payloads that are no Opus packets: empty, too large, malformed."""

    def __del__(self) -> None:
        if hasattr(self, "_decoder"):
            self._opus.opus_decoder_destroy(self._decoder)

    def decode(self, payload: bytes) -> NDArray[np.int16]:
        """Decodes a packet: int16 samples, shape (n,), 0 < n <= 1920.

        Raises:
            OpusError: Not an Opus packet. Empty payloads and those over 1,500 bytes never reach libopus.
        """
        if not 0 < len(payload) <= MAX_PAYLOAD_BYTES:
            self.refused += 1
            raise OpusError(f"an Opus payload of {len(payload)} bytes (allowed: 1 to {MAX_PAYLOAD_BYTES})")
        pcm = self._run(payload, MAX_SAMPLES, fec=0)
        self._after_celt = is_celt_only(payload)
        return pcm

    def decode_fec(self, payload: bytes, samples: int) -> NDArray[np.int16] | None:
        """Restores the lost `samples` in front of a packet from the copy in that packet; then decode the packet itself.

        Args:
            payload: The packet after the hole.
            samples: Exactly the length of the hole's last frame, `frame_samples(payload)`.

        Returns:
            int16 samples, shape (samples,), or None when the packet carries no usable copy: conceal instead.

        Raises:
            OpusError: As for `decode`.
        """
        if not 0 < len(payload) <= MAX_PAYLOAD_BYTES or self._after_celt or not has_fec(payload):
            return None
        return self._run(payload, samples, fec=1)

    def conceal(self, samples: int) -> NDArray[np.int16]:
        """Makes up lost audio from what came before (PLC): int16, shape (samples,), n x 2.5 ms, at most 120 ms."""
        return self._run(None, samples, fec=0)

    def _run(self, payload: bytes | None, samples: int, fec: int) -> NDArray[np.int16]:
        size = 0 if payload is None else len(payload)
        count = self._opus.opus_decode(self._decoder, payload, size, self._address, samples, fec)
        if count < 0:
            self.refused += 1
            if count != _INVALID_PACKET:
                self._opus.opus_decoder_ctl(self._decoder, _RESET_STATE)
            raise OpusError(f"libopus: {self._opus.opus_strerror(count).decode()}")
        return self._out[:count].copy()


class OpusEncoder:
    """Makes Opus packets as browsers do, for rehearsal rooms, benchmarks and tests.

    Args:
        rate: Of the PCM given: 8000, 12000, 16000, 24000 or 48000.
        bitrate: Bits per second.
        fec: Put a copy of each frame into the next packet (needs `loss_percent` > 0).
        loss_percent: Expected loss; more gives stronger copies.
        dtx: Packets of silence shrink to at most 2 bytes, which need not be sent.
        application: What libopus optimizes for.
    """

    def __init__(
        self,
        rate: int = SAMPLE_RATE,
        bitrate: int = 32_000,
        fec: bool = False,
        loss_percent: int = 0,
        dtx: bool = False,
        application: Literal["voip", "audio", "lowdelay"] = "voip",
    ) -> None:
        self._opus = library()
        error = ctypes.c_int()
        created = self._opus.opus_encoder_create(rate, 1, _APPLICATIONS[application], ctypes.byref(error))
        if not created:
            raise OpusError(f"libopus cannot encode at {rate} Hz (8000, 12000, 16000, 24000 or 48000)")
        self._encoder = ctypes.c_void_p(created)
        self._out = ctypes.create_string_buffer(MAX_PAYLOAD_BYTES)
        values = {"bitrate": bitrate, "fec": int(fec), "loss_percent": loss_percent, "dtx": int(dtx)}
        for name, value in values.items():
            if self._opus.opus_encoder_ctl(self._encoder, _SETTINGS[name], ctypes.c_int32(value)):
                raise OpusError(f"libopus refuses {name}={value}")

    def __del__(self) -> None:
        if hasattr(self, "_encoder"):
            self._opus.opus_encoder_destroy(self._encoder)

    def encode(self, pcm: NDArray[np.int16]) -> bytes:
        """Encodes one frame: int16 mono, shape (n,), n of 2.5, 5, 10, 20, 40 or 60 ms.

        Raises:
            OpusError: The length is none of these.
        """
        samples = np.ascontiguousarray(pcm, np.int16)
        size = self._opus.opus_encode(self._encoder, samples.ctypes.data, len(samples), self._out, MAX_PAYLOAD_BYTES)
        if size < 0:
            raise OpusError(f"libopus cannot encode a frame of {len(samples)} samples")
        return self._out.raw[:size]


def version() -> str:
    """Name and version of the libopus in use."""
    return bytes(library().opus_get_version_string()).decode()
