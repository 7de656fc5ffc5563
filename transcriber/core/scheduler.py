"""Scheduler: whose window goes to the engine next. Finals before first partials before partials, the earliest first.

A stream is not a queue of windows but one request: its most urgent pass. Its audio is taken when the pass starts, so
overload makes partials rarer instead of later, and no stream has two passes under way. Passes of one kind may go
together.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from transcriber.core.policy import DecodeRequest, PassKind

Stream = TypeVar("Stream")


class Scheduler(Generic[Stream]):
    """The requests of all streams. Memory: one entry per stream that waits or is being served.

    Args:
        exclusive: What is to go alone has the engine to itself: nothing else is under way with it.
    """

    def __init__(self, *, exclusive: bool = False) -> None:
        self._requests: dict[Stream, DecodeRequest] = {}
        self._busy: set[Stream] = set()
        self._exclusive = exclusive
        self._is_reserved = False  # for the one that is under way
        self.shed = 0
        """Partials that were due and never made, because the utterance ended first."""

    def submit(self, stream: Stream, request: DecodeRequest | None) -> None:
        """Replaces the stream's request; None withdraws it."""
        before = self._requests.pop(stream, None)
        if request is not None:
            self._requests[stream] = request
            self.shed += before is not None and request.kind is PassKind.FINAL and not before.kind.is_careful

    def take(self, limit: int = 1, background: int = 1) -> list[tuple[Stream, DecodeRequest]]:
        """Takes the most urgent requests of streams that have no pass under way: all of one kind, at most so many; of
        background work at most that many, so that somebody live does not wait for long, or none."""
        waiting = (
            (request, stream)
            for stream, request in self._requests.items()
            if stream not in self._busy and (background or request.kind is not PassKind.BACKGROUND)
        )
        ranked = sorted(waiting, key=lambda entry: entry[0])
        if not ranked or self._is_reserved:
            return []
        first = ranked[0][0]
        if self._exclusive and first.alone:
            if self._busy:
                return []
            self._is_reserved = True
        most = background if first.kind is PassKind.BACKGROUND else limit
        together = [
            (stream, request) for request, stream in ranked if request.kind is first.kind and not request.alone
        ][:most]
        if first.alone:
            together = [(ranked[0][1], first)]
        for stream, _ in together:
            del self._requests[stream]
            self._busy.add(stream)
        return together

    def done(self, stream: Stream) -> None:
        """The stream's pass is over."""
        self._busy.discard(stream)
        self._is_reserved = False

    @property
    def waiting(self) -> int:
        """Streams with a request."""
        return len(self._requests)

    def oldest(self, now: float) -> float:
        """Seconds that the live pass which is due for longest has been waiting."""
        waits = (now - request.due for request in self._requests.values() if request.kind is not PassKind.BACKGROUND)
        return max(waits, default=0.0)
