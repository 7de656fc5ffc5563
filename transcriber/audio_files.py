"""Audio files of any format as 16 kHz samples, piece by piece. Everything here blocks: call it in a thread."""

from __future__ import annotations

import io
import struct
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO

import av
import av.container
import numpy as np
import numpy.typing as npt
from av.audio.resampler import AudioResampler
from av.error import FFmpegError

from common.whisperlive.protocol import SAMPLE_RATE

PIECE_SAMPLES = SAMPLE_RATE
"""Samples per channel that `read` returns, except at the end: whoever listens is busy with them for milliseconds."""
MIN_SAMPLE_RATE_HZ = 4000
"""Samples a second; less is no speech, and a small file that says so would become gigabytes at 16 kHz."""
CONTAINERS = "wav,w64,ogg,matroska,webm,mov,mp4,m4a,3gp,mp3,flac,aac,aiff,au,caf,amr,asf"
"""No playlists or scripts: their demuxers open other files and addresses."""
MIN_MISSING_S = 0.1
"""Seconds of a WAV file without which it is not whole: some programs count a few bytes too many."""
UNKNOWN_LENGTH_BYTES = 0x7FFF0000
"""A WAV file that says it has so many, or none, was written to a pipe: it does not say how long it is."""

Piece = npt.NDArray[np.int16]


class AudioFileError(Exception):
    """A file that cannot be heard. For people."""


class UnreadableError(AudioFileError):
    """It is no audio file, not whole, or nothing that speech could be in."""


class SoundlessError(AudioFileError):
    """There is no sound in it."""


class TooLongError(AudioFileError):
    """It is longer than the limit."""


class Recording:
    """A file being decoded; a file may be damaged in places, what can be heard of it is.

    Args:
        file: Seekable, opened for reading; not closed here.
        split: Keep two channels apart; otherwise, and for more than two, all are mixed.
        longest: Seconds after which it is refused.
    """

    def __init__(self, file: BinaryIO, *, split: bool, longest: float) -> None:
        self._file = file
        self._split = split
        self._longest = longest
        self._lock = threading.Lock()
        self._pieces: Iterator[Piece] | None = None
        self._container: av.container.InputContainer | None = None
        self._closed = False
        self.samples = 0
        """Decoded so far, per channel."""
        self.damaged = 0
        """Packets that could not be decoded."""

    def read(self) -> Piece:
        """The next second, shape (channels, n); n is 0 at the end.

        Raises:
            AudioFileError: UnreadableError, SoundlessError or TooLongError.
        """
        with self._lock:
            if self._closed:
                return np.zeros((1, 0), np.int16)
            if self._pieces is None:
                self._pieces = _joined(self._decode())
            piece = next(self._pieces, None)
            if piece is None:
                if not self.samples:
                    raise SoundlessError("There is no sound in the file that can be decoded.")
                return np.zeros((1, 0), np.int16)
            return piece

    def close(self) -> None:
        """Ends decoding; waits for a `read` in another thread."""
        with self._lock:
            self._closed = True
            self._pieces = None
            if self._container:
                self._container.close()

    def _decode(self) -> Iterator[Piece]:
        said, there = wav_seconds(self._file)
        if said - there >= MIN_MISSING_S:
            raise UnreadableError(
                f"The file is not whole: it says that it has {said:.1f} s, and {there:.1f} s are there."
            )
        try:
            container = self._container = av.open(
                self._file, "r", options={"format_whitelist": CONTAINERS, "protocol_whitelist": "none"}
            )
        except (FFmpegError, ValueError, OSError) as error:
            problem = f"The file cannot be read: it is in none of these formats, or not whole: {CONTAINERS}."
            raise UnreadableError(problem) from error
        if not container.streams.audio:
            raise SoundlessError("The file has no audio track.")
        layout, kind = "", None
        resampler: AudioResampler | None = None
        for frame in self._frames(container):
            layout = layout or ("stereo" if self._split and frame.layout.nb_channels == 2 else "mono")
            if frame.sample_rate < MIN_SAMPLE_RATE_HZ:
                raise UnreadableError(f"The sample rate of {frame.sample_rate} Hz is too low for speech.")
            if kind != (kind := (frame.format.name, frame.layout.name, frame.sample_rate)):
                yield from self._resampled(resampler, None)
                resampler = AudioResampler("s16p", layout, SAMPLE_RATE)
            frame.pts = None
            yield from self._resampled(resampler, frame)
        yield from self._resampled(resampler, None)

    def _frames(self, container: av.container.InputContainer) -> Iterator[av.AudioFrame]:
        packets = container.demux(container.streams.audio[0])
        while True:
            try:
                packet = next(packets)
                frames = packet.decode()
            except StopIteration:
                return
            except (FFmpegError, ValueError):
                self.damaged += 1
                if self.damaged > 10_000:  # a demuxer that fails without moving on
                    return
                continue
            yield from frames

    def _resampled(self, resampler: AudioResampler | None, frame: av.AudioFrame | None) -> Iterator[Piece]:
        """A frame, or what is left of those before, at our rate; nothing of one that makes no sense."""
        try:
            frames: list[Any] = resampler.resample(frame) if resampler else []
        except (FFmpegError, ValueError):
            self.damaged += 1
            return
        for frame in frames:
            self.samples += frame.samples
            if self.samples > self._longest * SAMPLE_RATE:
                raise TooLongError(f"The recording is longer than {self._longest:g} s: send it in parts.")
            piece: Any = frame.to_ndarray()
            yield piece


def wav_seconds(file: BinaryIO) -> tuple[float, float]:
    """How long a WAV file says that it is, and how much of that is there; zeros where it does not say, or is no WAV.

    FFmpeg takes what is there for all. The file is rewound.
    """
    size, rate = file.seek(0, io.SEEK_END), 0
    try:
        file.seek(0)
        kind, form = struct.unpack("<4s4x4s", file.read(12))
        while (kind, form) == (b"RIFF", b"WAVE"):
            name, length = struct.unpack("<4sI", file.read(8))
            begin = file.tell()
            if name == b"fmt ":
                (rate,) = struct.unpack("<8xI", file.read(12))
            elif name == b"data":
                is_said = rate and length < UNKNOWN_LENGTH_BYTES
                return (length / rate, min(length, size - begin) / rate) if is_said else (0.0, 0.0)
            file.seek(begin + length + length % 2)
    except struct.error:  # it ends before
        pass
    finally:
        file.seek(0)
    return 0.0, 0.0


def _joined(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """The same samples in pieces of a second; the last one is shorter."""
    waiting: list[Piece] = []
    for piece in pieces:
        waiting.append(piece)
        if sum(part.shape[1] for part in waiting) >= PIECE_SAMPLES:
            whole = np.concatenate(waiting, axis=1)
            until = whole.shape[1] // PIECE_SAMPLES * PIECE_SAMPLES
            yield from np.split(whole[:, :until], until // PIECE_SAMPLES, axis=1)
            waiting = [whole[:, until:]]
    if waiting and (rest := np.concatenate(waiting, axis=1)).shape[1]:
        yield rest
