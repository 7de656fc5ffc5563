"""Files of a recording: WAV, or FLAC through PyAV; whole at any moment, and under their name once they are finished.

While it grows a file ends in `.part.wav` (or `.part.flac`) and can be played: a WAV file's head says after each write
how long it is. Finished, it is on the disk before it gets its name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from common.audio.pcm import SAMPLE_RATE

_HEAD = struct.Struct("<4sI4s4sIHHIIHH4sI")
SILENCE_SAMPLES = 10 * SAMPLE_RATE
"""Zeros that are written at once."""


class SoundFile(Protocol):
    """One file that grows."""

    samples: int
    """16 kHz samples in it."""

    def write(self, pcm: NDArray[np.int16]) -> None:
        """Appends int16 mono of shape (n,). Raises OSError."""

    def close(self) -> None:
        """It is whole, and on the disk. Raises OSError."""


class WavFile:
    """RIFF WAVE, 16 kHz mono, 16 bit."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self.samples = 0
        self._write_head()

    def write(self, pcm: NDArray[np.int16]) -> None:
        """See `SoundFile`."""
        data = memoryview(pcm.astype("<i2").tobytes())
        while data:  # a raw file may take less than it is given
            data = data[self._file.write(data) :]
        self.samples += len(pcm)
        self._write_head()

    def _write_head(self) -> None:
        head = _head(self.samples)
        if self.samples:
            os.pwrite(self._file.fileno(), head, 0)
        else:
            self._file.write(head)

    def close(self) -> None:
        """See `SoundFile`."""
        try:
            os.fsync(self._file.fileno())
        finally:
            self._file.close()


def _head(samples: int) -> bytes:
    size = 2 * samples
    return _HEAD.pack(
        b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, 1, SAMPLE_RATE, 2 * SAMPLE_RATE, 2, 16, b"data", size
    )


@contextlib.contextmanager
def _av_errors() -> Iterator[None]:
    """PyAV's errors as what they are: some of them are none of the system's."""
    import av

    try:
        yield
    except av.FFmpegError as error:
        raise OSError(error.errno or errno.EIO, error.strerror or str(error)) from None


class FlacFile:
    """FLAC, which needs PyAV."""

    @_av_errors()
    def __init__(self, path: Path) -> None:
        import av

        self._path = path
        self._container: Any = av.open(str(path), "w", format="flac", options={"flush_packets": "1"})
        self._stream: Any = self._container.add_stream("flac", rate=SAMPLE_RATE, layout="mono")
        self.samples = 0

    @_av_errors()
    def write(self, pcm: NDArray[np.int16]) -> None:
        """See `SoundFile`."""
        import av

        frame = av.AudioFrame.from_ndarray(pcm.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, self.samples, Fraction(1, SAMPLE_RATE)
        self.samples += len(pcm)
        self._container.mux(self._stream.encode(frame))

    @_av_errors()
    def close(self) -> None:
        """See `SoundFile`."""
        try:
            self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()
        with self._path.open("rb") as file:
            os.fsync(file.fileno())


KINDS: dict[str, type[WavFile] | type[FlacFile]] = {"wav": WavFile, "flac": FlacFile}
MEDIA_TYPES = {"wav": "audio/wav", "flac": "audio/flac"}


def left_behind(path: Path, kind: str) -> int:
    """How many samples are in a file that its writer, killed, did not finish; it is whole then. Raises OSError."""
    if kind == "flac":
        import av

        with _av_errors(), av.open(str(path)) as container:
            return sum(frame.samples for frame in container.decode(audio=0))
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END) - _HEAD.size
        if size < 2:
            return 0
        file.truncate(_HEAD.size + size // 2 * 2)
        file.seek(0)
        file.write(_head(size // 2))
        return size // 2


def pad(file: SoundFile, samples: int) -> None:
    """Appends so much silence. Raises OSError."""
    while samples > 0:
        file.write(np.zeros(min(samples, SILENCE_SAMPLES), np.int16))
        samples -= SILENCE_SAMPLES
