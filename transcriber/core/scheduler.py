"""Whose window goes to the engine next: finals before first partials before partials, the earliest deadline first.

A stream is not a queue of windows but one offer: its most urgent pass. Its audio is taken when the pass starts, so
overload makes partials rarer instead of later, and no stream has two passes under way.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from transcriber.core.policy import Want

Stream = TypeVar("Stream")


class Scheduler(Generic[Stream]):
    """The offers of all streams. Memory: one entry per stream that waits or is being served."""

    def __init__(self) -> None:
        self._offers: dict[Stream, Want] = {}
        self._busy: set[Stream] = set()

    def offer(self, stream: Stream, want: Want | None) -> None:
        """Replaces the stream's offer; None withdraws it."""
        if want is None:
            self._offers.pop(stream, None)
        else:
            self._offers[stream] = want

    def next(self) -> tuple[Stream, Want] | None:
        """Takes the most urgent offer of a stream that has no pass under way."""
        waiting = [(want, stream) for stream, want in self._offers.items() if stream not in self._busy]
        if not waiting:
            return None
        want, stream = min(waiting, key=lambda offer: offer[0])
        del self._offers[stream]
        self._busy.add(stream)
        return stream, want

    def done(self, stream: Stream) -> None:
        """The stream's pass is over."""
        self._busy.discard(stream)

    @property
    def waiting(self) -> int:
        """Streams with an offer."""
        return len(self._offers)
