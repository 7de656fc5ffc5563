"""Windowed sessions: streams whose utterances are decoded window by window, by the worker that all of them share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from common.whisperlive.protocol import Handshake
from transcriber.core.session import SpeechProbabilities, StreamSession
from transcriber.core.windows import Samples
from transcriber.engine.base import Decoder
from transcriber.sessions import SessionListener
from transcriber.worker import Worker


class WindowedSession(StreamSession):
    """A stream that tells the worker when there is something to decode."""

    def __init__(
        self, worker: Worker, handshake: Handshake, probabilities: SpeechProbabilities, granted: frozenset[str],
        clock_start: int,
    ) -> None:  # fmt: skip
        super().__init__(handshake, probabilities, granted, clock_start)
        self._worker = worker

    @asynccontextmanager
    async def serve(self, listener: SessionListener) -> AsyncIterator[None]:
        """Its passes are taken until the block ends."""
        self._worker.add(self, listener)
        try:
            yield
        finally:
            self._worker.remove(self)

    def is_stalled(self, now: float) -> bool:
        """No stream gets results any more."""
        return self._worker.is_stalled(now)

    def hear(self, first_sample: int, samples: Samples, now: float) -> bool:
        """Takes the next samples."""
        is_news = super().hear(first_sample, samples, now)
        if is_news:
            self._worker.poke(self)
        return is_news

    def end_utterance(self, sample: int, now: float) -> None:
        """All audio before `sample` belongs to closed utterances."""
        super().end_utterance(sample, now)
        self._worker.poke(self)

    def end(self, now: float) -> None:
        """Whatever is open ends here."""
        super().end(now)
        self._worker.poke(self)


class WindowedSessions:
    """Sessions on one decoder.

    Args:
        decoder: What it can be asked for.
        worker: Decodes for every session.
        speech: Makes the speech detector of a new stream.
    """

    def __init__(self, decoder: Decoder, worker: Worker, speech: Callable[[], SpeechProbabilities]) -> None:
        self._decoder = decoder
        self._worker = worker
        self._speech = speech

    @property
    def name(self) -> str:
        """The model."""
        return self._decoder.name

    @property
    def languages(self) -> frozenset[str]:
        """Codes that a client may name."""
        return self._decoder.languages

    @property
    def is_up(self) -> bool:
        """The engine is there."""
        return self._decoder.is_up

    @property
    def admits(self) -> bool:
        """Finals come in time."""
        return self._worker.admits

    def session(self, handshake: Handshake, granted: frozenset[str], clock_start: int) -> WindowedSession:
        """A stream with a detector of its own."""
        if len(self.languages) == 1:
            handshake = replace(handshake, allowed_languages=self.languages)  # found: the client hears of it at once
        return WindowedSession(self._worker, handshake, self._speech(), granted, clock_start)
