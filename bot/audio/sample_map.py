"""A sample map: which samples of one clock are which of another, and whose. So text finds back to speaker and time.

A lane carries the speech of its speakers without the silence between; the ledger remembers every run of samples put on
it. A transcriber link uses the same book for the silence that a stock server needs after an utterance.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Generic, TypeVar

Tag = TypeVar("Tag")


@dataclass(slots=True)
class _Run(Generic[Tag]):
    at: int
    origin: int
    length: int
    tag: Tag


@dataclass(frozen=True, slots=True)
class Place(Generic[Tag]):
    """Where a sample came from."""

    origin: int
    """Sample on the origin's clock."""
    tag: Tag
    """What was noted when it was put there."""


class SampleMap(Generic[Tag]):
    """Runs of samples, ascending on the clock that is looked up; contiguous ones are one entry."""

    def __init__(self, start: int = 0) -> None:
        self._runs: list[_Run[Tag]] = []
        self.end = start
        """One past the last sample noted."""

    def note(self, length: int, origin: int, tag: Tag) -> None:
        """The next `length` samples here are the samples from `origin` on over there."""
        if self._runs:
            last = self._runs[-1]
            if last.tag == tag and last.origin + last.length == origin:
                last.length += length
                self.end += length
                return
        self._runs.append(_Run(self.end, origin, length, tag))
        self.end += length

    def locate(self, sample: int) -> Place[Tag] | None:
        """Where a sample came from; positions outside what is kept are taken to its nearest end. None when empty."""
        if not self._runs:
            return None
        run = self._runs[max(bisect_right(self._runs, sample, key=lambda run: run.at) - 1, 0)]
        return Place(run.origin + min(max(sample - run.at, 0), run.length), run.tag)

    def forget(self, before: int) -> None:
        """Drops runs that lie wholly before a sample; the last one stays, for text that comes late."""
        keep = next((i for i, run in enumerate(self._runs) if run.at + run.length > before), len(self._runs) - 1)
        del self._runs[: max(keep, 0)]

    def __len__(self) -> int:
        """Runs kept."""
        return len(self._runs)
