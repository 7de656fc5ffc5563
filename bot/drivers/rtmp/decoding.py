"""Decoding of an RTMP stream's sound, in a thread of its own: PyAV opens, reads and decodes, and blocks while it does.

What is not sound is thrown away by the demuxer, undecoded. The thread ends when its connection does (`relay`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import av
import numpy as np
from av.audio.frame import AudioFrame as DecodedFrame
from av.audio.stream import AudioStream
from av.stream import Discard
from numpy.typing import NDArray

from bot.codecs.presentation import PresentationClock
from bot.drivers.rtmp.options import PullOptions
from bot.drivers.rtmp.reasons import Reason, StreamError
from common.audio.pcm import SAMPLE_RATE

MAX_PIECE_SAMPLES = SAMPLE_RATE // 10
"""Longer decoded pieces are cut: an `AudioFrame` has at most 120 ms."""
MAX_BROKEN_PACKETS = 50
"""In a row that cannot be decoded, about a second, until the stream counts as one without sound."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of decoded sound.

    Args:
        pcm: int16 mono samples at 16 kHz, shape (n,).
        position: Of `pcm[0]`, 16 kHz samples; contiguous, or later.
        restarts: Grows when positions begin anew.
        arrival: When its packet was read, monotonic seconds.
    """

    pcm: NDArray[np.int16]
    position: int
    restarts: int
    arrival: float


class Decoding:
    """Reads one stream to its end.

    Args:
        url: What FFmpeg opens.
        extra: Options of FFmpeg's RTMP client beside `options`.
        options: How it reads.
        timeouts: Seconds for opening, and without anything of the sound.
    """

    def __init__(self, url: str, extra: dict[str, str], options: PullOptions, timeouts: tuple[float, float]) -> None:
        self._url, self._options, self._timeouts = url, extra | options.ffmpeg(), timeouts
        self._clock = PresentationClock()
        self._resampler: av.AudioResampler | None = None
        self._format: tuple[str, str, int] | None = None  # of what the resampler takes
        self.is_open = False
        """Whether the server plays the stream."""

    def run(self, emit: Callable[[list[Piece]], bool]) -> None:
        """Blocks until the stream ends, which it always does by an exception, or `emit` returns False.

        Raises:
            StreamError: There is no sound in it.
            OSError, av.FFmpegError: As FFmpeg says it; EOFError: the server ended it.
        """
        with av.open(self._url, format="flv", options=self._options, timeout=self._timeouts) as container:
            self.is_open = True
            if not container.streams.audio:
                raise StreamError(Reason.NO_SOUND, "the stream has no sound")
            sound = container.streams.audio[0]
            for stream in container.streams:
                if stream is not sound:
                    stream.discard = Discard.all
            with suppress(IndexError):  # PyAV's, at the end of a container in which streams have appeared since
                for pieces in self._pieces(sound, container.demux(sound)):
                    if pieces and not emit(pieces):
                        return
        raise EOFError("the server ended the stream")

    def _pieces(self, sound: AudioStream, packets: Iterator[av.Packet[AudioStream]]) -> Iterator[list[Piece]]:
        broken = 0
        for packet in packets:
            arrival = time.monotonic()
            try:
                frames = sound.decode(packet)
                broken = 0
            except (av.InvalidDataError, ValueError) as error:
                broken += 1
                if broken >= MAX_BROKEN_PACKETS:
                    raise StreamError(Reason.NO_SOUND, f"its sound cannot be decoded ({error})") from None
                continue
            except (av.FFmpegError, NotImplementedError) as error:
                if isinstance(error, EOFError):
                    return
                raise StreamError(Reason.NO_SOUND, f"its sound cannot be decoded ({error})") from None
            yield [piece for frame in frames for piece in self._cut(frame, arrival)]

    def _cut(self, frame: DecodedFrame, arrival: float) -> Iterator[Piece]:
        """A decoded frame of any format as pieces at 16 kHz mono."""
        stamp = None if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base)
        pcm = self._resample(frame)
        if pcm.size == 0:
            return
        position = self._clock.place(stamp, pcm.size)
        for begin in range(0, pcm.size, MAX_PIECE_SAMPLES):
            part = pcm[begin : begin + MAX_PIECE_SAMPLES]
            yield Piece(part, position + begin, self._clock.restarts, arrival)

    def _resample(self, frame: DecodedFrame) -> NDArray[np.int16]:
        """Shape (n,): what comes out for this frame. A change of format in the stream begins a new resampler."""
        format_ = (frame.format.name, frame.layout.name, frame.sample_rate)
        parts = []
        if format_ != self._format:
            parts += self._resampler.resample(None) if self._resampler else []
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            self._format = format_
        assert self._resampler is not None
        parts += self._resampler.resample(frame)
        if not parts:
            return np.zeros(0, np.int16)
        return np.concatenate([part.to_ndarray()[0] for part in parts]).astype(np.int16, copy=False)
