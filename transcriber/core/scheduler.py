"""Whose window goes to the engine next: finals before first partials before partials, the earliest deadline first.

A stream is not a queue of windows but one offer: its most urgent pass. Its audio is taken when the pass starts, so
overload makes partials rarer instead of later, and no stream has two passes under way. Passes of one kind may go
together.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from transcriber.core.policy import Kind, Want

Stream = TypeVar("Stream")


class Scheduler(Generic[Stream]):
    """The offers of all streams. Memory: one entry per stream that waits or is being served."""

    def __init__(self) -> None:
        self._offers: dict[Stream, Want] = {}
        self._busy: set[Stream] = set()
        self.shed = 0
        """Partials that were due and never made, because the utterance ended first."""

    def offer(self, stream: Stream, want: Want | None) -> None:
        """Replaces the stream's offer; None withdraws it."""
        before = self._offers.pop(stream, None)
        if want is not None:
            self._offers[stream] = want
            self.shed += before is not None and want.kind is Kind.FINAL and not before.kind.is_careful

    def next(self, most: int = 1) -> list[tuple[Stream, Want]]:
        """Takes the most urgent offers of streams that have no pass under way: all of one kind, at most so many."""
        waiting = ((want, stream) for stream, want in self._offers.items() if stream not in self._busy)
        ranked = sorted(waiting, key=lambda offer: offer[0])
        if not ranked:
            return []
        first = ranked[0][0]
        together = [(stream, want) for want, stream in ranked if want.kind is first.kind and not want.alone][:most]
        if first.alone:
            together = [(ranked[0][1], first)]
        for stream, _ in together:
            del self._offers[stream]
            self._busy.add(stream)
        return together

    def done(self, stream: Stream) -> None:
        """The stream's pass is over."""
        self._busy.discard(stream)

    @property
    def waiting(self) -> int:
        """Streams with an offer."""
        return len(self._offers)

    def oldest(self, now: float) -> float:
        """Seconds that the live pass which is due for longest has been waiting."""
        waits = (now - want.due for want in self._offers.values() if want.kind is not Kind.BACKGROUND)
        return max(waits, default=0.0)
