"""Recordings over HTTP: their windows are decoded by the worker of the live streams, after those."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager, suppress

from common.whisperlive.protocol import SAMPLE_RATE, Handshake, WireSegment
from transcriber.audio_files import AudioFileError, Piece, Recording, SoundlessError, TooLongError
from transcriber.core.recording import RecordingChannel, RecordingWindow, are_alike
from transcriber.core.session import SpeechProbabilities
from transcriber.core.subtitles import Line
from transcriber.core.uploads import ApiError
from transcriber.engine.base import Decoder
from transcriber.metrics import Metrics
from transcriber.worker import Worker

PROGRESS_CHECK_S = 1.0
"""Time between looks whether the engine gives results at all."""


class Jobs:
    """Admits requests, and runs their recordings through the worker.

    Args:
        most: Requests at once; more are told to come back.
        metrics: Counts the audio.
    """

    def __init__(self, most: int, metrics: Metrics) -> None:
        self._most = most
        self._metrics = metrics
        self.admitted = 0
        """Requests under way."""
        self._runs: set[Run] = set()
        self._idle = asyncio.Event()
        self._served: tuple[Decoder, Worker, Callable[[], SpeechProbabilities]] | None = None
        self._aborted = False
        self._declines = False

    def decline(self) -> None:
        """The engine takes no recordings: nobody is admitted."""
        self._declines = True

    def start(self, decoder: Decoder, worker: Worker, speech: Callable[[], SpeechProbabilities]) -> None:
        """Serves from now on."""
        self._served = decoder, worker, speech

    async def drain(self, timeout: float) -> None:
        """Admits nobody more, returns when all are done; those that are not in time get an error."""
        self._served = None
        try:
            async with asyncio.timeout(timeout):
                while self.admitted:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            self._aborted = True
            for run in self._runs:
                run.progress.set()

    @contextmanager
    def admission(self) -> Iterator[tuple[Decoder, Callable[[Recording, Handshake], Run]]]:
        """One request, from before its body is read to its answer. Raises ApiError (501, 503)."""
        if self._declines:
            problem = "This transcriber's engine hears streams only: send recordings to one with another --engine."
            raise ApiError(501, problem, code="no_recordings")
        if self._served is None:
            raise ApiError(503, "The transcriber is starting or stopping: send it again.", code="not_ready")
        if self.admitted >= self._most:
            raise ApiError(503, f"{self._most} requests are being served: send it again later.", code="busy")
        decoder, worker, speech = self._served
        self.admitted += 1
        try:
            yield decoder, lambda recording, hello: Run(self, decoder, worker, speech, recording, hello)
        finally:
            self.admitted -= 1
            self._idle.set()

    def enter(self, run: Run) -> None:
        """It is to hear of the end."""
        self._runs.add(run)

    def leave(self, run: Run) -> None:
        """It is over."""
        self._runs.discard(run)
        self._metrics.audio.inc(run.recording.samples / SAMPLE_RATE)

    @property
    def aborted(self) -> bool:
        """Nothing more will be decoded."""
        return self._aborted


class Run:
    """One recording on its way: per channel the window that is being filled, and few that wait."""

    def __init__(
        self, jobs: Jobs, decoder: Decoder, worker: Worker, speech: Callable[[], SpeechProbabilities],
        recording: Recording, hello: Handshake,
    ) -> None:  # fmt: skip
        self._jobs = jobs
        self._decoder = decoder
        self._worker = worker
        self._speech = speech
        self._hello = hello
        self._channels: dict[int, RecordingChannel] = {}
        self._windows: set[RecordingWindow] = set()  # those that the worker has
        self.recording = recording
        self.progress = asyncio.Event()
        self.channels = 0
        """Of the file, as it is decoded."""
        self.alike = True
        """All channels carry the same sound: only the first is decoded."""

    @property
    def decoded(self) -> int:
        """Windows with sound in them."""
        return sum(channel.decoded for channel in self._channels.values())

    @property
    def detected(self) -> str | None:
        """The language that was found."""
        return next((channel.detected for channel in self._channels.values() if channel.detected), None)

    async def lines(self, only: int | None = None) -> AsyncGenerator[Line]:
        """What is said, as it is decoded; close it to give up. `only`: this channel, where there are several.

        Raises:
            ApiError: the file cannot be decoded, or the engine failed.
        """
        self._jobs.enter(self)
        try:
            position = 0
            while (piece := await self._read()).shape[1]:
                self._check_aborted()
                self._hear(position, piece, only)
                position += piece.shape[1]
                for line in self._new():
                    yield line
                while self._waiting > self._decoder.full_batch:
                    await self._wait()
                    for line in self._new():
                        yield line
            for channel in self._channels.values():
                channel.end(_now())
            for line in self._new():
                yield line
            while self._waiting:
                await self._wait()
                for line in self._new():
                    yield line
        finally:
            self._jobs.leave(self)
            for window in self._windows:
                self._worker.remove(window)
            await asyncio.to_thread(self.recording.close)

    async def _read(self) -> Piece:
        """The next second. Raises ApiError: it cannot be heard."""
        try:
            return await asyncio.to_thread(self.recording.read)
        except TooLongError as error:
            raise ApiError(413, str(error), param="file", code="audio_too_long") from error
        except AudioFileError as error:
            raise ApiError(422 if isinstance(error, SoundlessError) else 415, str(error), param="file") from error

    def _hear(self, position: int, piece: Piece, only: int | None) -> None:
        self.channels = self.channels or len(piece)
        wanted = [only] if only is not None and only < len(piece) else list(range(len(piece)))
        if self.alike and are_alike(piece[wanted]):
            wanted = wanted[:1]
        else:
            self.alike = False
        for number in wanted:
            (self._channels.get(number) or self._open(number, position)).hear(piece[number], _now())

    def _open(self, number: int, position: int) -> RecordingChannel:
        channel = self._channels[number] = RecordingChannel(
            self._hello,
            self._speech(),
            channel=number,
            clock_start=position,
            longest=round(self._decoder.longest_window * SAMPLE_RATE),
        )
        return channel

    def show(self, segments: list[WireSegment]) -> None:
        """A pass is over; the windows keep what came of it."""
        self.progress.set()

    def lose(self, start: float, end: float) -> None:
        """The window says so."""

    @property
    def _waiting(self) -> int:
        """Windows whose lines are not taken, of all channels."""
        return sum(channel.waiting for channel in self._channels.values())

    async def _wait(self) -> None:
        """Until a pass is over, or was while nobody waited. Raises ApiError (503): nobody gets any result."""
        while not self.progress.is_set():
            if self._worker.is_stalled(_now()):
                raise ApiError(503, "The speech model gives no results: send it again later.", code="engine_stalled")
            with suppress(TimeoutError):
                async with asyncio.timeout(PROGRESS_CHECK_S):
                    await self.progress.wait()
        self.progress.clear()
        self._check_aborted()

    def _check_aborted(self) -> None:
        if self._jobs.aborted:
            raise ApiError(503, "The transcriber is stopping: send it again.", code="not_ready")

    def _new(self) -> Iterator[Line]:
        """The lines of windows that are done; others go to the worker in their place."""
        for window in [window for window in self._windows if window.is_done]:
            self._windows.remove(window)
            self._worker.remove(window)
        for channel in self._channels.values():
            if channel.is_lost:
                raise ApiError(500, "The speech model failed on this recording: send it again.", code="engine_failed")
            yield from channel.take(_now())
            for window in channel.open_windows():
                self._windows.add(window)
                self._worker.add(window, self)
                self._worker.poke(window)


def _now() -> float:
    return asyncio.get_running_loop().time()
