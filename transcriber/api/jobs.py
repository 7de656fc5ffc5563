"""Recordings as streams that are not paced, decoded by the same worker as the live ones, after them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager

from common.whisperlive.protocol import SAMPLE_RATE, Handshake, WireSegment
from transcriber.api.audio import Piece, Recording
from transcriber.core.recording import RecordingSession, are_alike
from transcriber.core.session import SpeechProbabilities
from transcriber.core.subtitles import Line
from transcriber.core.uploads import ApiError
from transcriber.engine.base import Decoder
from transcriber.metrics import Metrics
from transcriber.worker import Worker


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
        """One request, from before its body is read to its answer. Raises ApiError (503)."""
        if self._served is None:
            raise ApiError(503, "The transcriber is starting or stopping: send it again.", code="not_ready")
        if self.admitted >= self._most:
            raise ApiError(503, f"{self._most} requests are being served: send it again later.", code="busy")
        decoder, worker, speech = self._served
        self.admitted += 1
        try:
            yield decoder, lambda recording, hello: Run(self, worker, speech, recording, hello)
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
    """One recording on its way: a session per channel, at most a minute of each in memory."""

    def __init__(
        self, jobs: Jobs, worker: Worker, speech: Callable[[], SpeechProbabilities], recording: Recording,
        hello: Handshake,
    ) -> None:  # fmt: skip
        self._jobs = jobs
        self._worker = worker
        self._speech = speech
        self._hello = hello
        self._sessions: dict[int, RecordingSession] = {}
        self.recording = recording
        self.progress = asyncio.Event()
        self.channels = 0
        """Of the file, as it is decoded."""
        self.alike = True
        """All channels carry the same sound: only the first is decoded."""

    @property
    def utterances(self) -> int:
        """Stretches of sound that were decoded."""
        return sum(session.utterances for session in self._sessions.values())

    @property
    def detected(self) -> str | None:
        """The language that was found."""
        return next((found.detected[0] for found in self._sessions.values() if found.detected), None)

    async def lines(self, only: int | None = None) -> AsyncGenerator[Line]:
        """What is said, as it is decoded; close it to give up. `only`: this channel, where there are several.

        Raises:
            ApiError: the file cannot be decoded, or the engine failed.
        """
        self._jobs.enter(self)
        try:
            position = 0
            while (piece := await asyncio.to_thread(self.recording.read)).shape[1]:
                self._check_aborted()
                self._hear(position, piece, only)
                position += piece.shape[1]
                for line in self._new():
                    yield line
                while any(session.is_full for session in self._sessions.values()):
                    await self._wait()
            for session in self._sessions.values():
                session.end(_now())
                self._worker.poke(session)
            while not all(session.is_settled for session in self._sessions.values()):
                await self._wait()
                for line in self._new():
                    yield line
            for line in self._new():
                yield line
        finally:
            self._jobs.leave(self)
            for session in self._sessions.values():
                self._worker.remove(session)
            await asyncio.to_thread(self.recording.close)

    def _hear(self, position: int, piece: Piece, only: int | None) -> None:
        self.channels = self.channels or len(piece)
        wanted = [only] if only is not None and only < len(piece) else list(range(len(piece)))
        if self.alike and are_alike(piece[wanted]):
            wanted = wanted[:1]
        else:
            self.alike = False
        for channel in wanted:
            session = self._sessions.get(channel) or self._open(channel, position)
            session.hear(position, piece[channel], _now())
            self._worker.poke(session)

    def _open(self, channel: int, position: int) -> RecordingSession:
        session = RecordingSession(self._hello, self._speech(), channel=channel, clock_start=position)
        self._sessions[channel] = session
        self._worker.add(session, self)
        return session

    def show(self, segments: list[WireSegment]) -> None:
        """The sessions keep them as lines."""
        self.progress.set()

    def lose(self, start: float, end: float) -> None:
        """The session counts the failure."""

    async def _wait(self) -> None:
        """Until a pass is over."""
        self.progress.clear()
        await self.progress.wait()
        self._check_aborted()

    def _check_aborted(self) -> None:
        if self._jobs.aborted:
            raise ApiError(503, "The transcriber is stopping: send it again.", code="not_ready")

    def _new(self) -> Iterator[Line]:
        for session in self._sessions.values():
            if session.lost:
                raise ApiError(500, "The speech model failed on this recording: send it again.", code="engine_failed")
            yield from session.take()


def _now() -> float:
    return asyncio.get_running_loop().time()
