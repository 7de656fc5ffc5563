"""A sample map: which samples of one clock are which of another, and whose. So text finds back to speaker and time.

A lane carries the speech of its speakers without the silence between; the plane remembers every run of samples put on
it. A transcriber link uses the same map for the silence that a stock server needs after an utterance.

A sample that was never noted, or is forgotten, is nobody's: it is not given to a neighbour.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Tag = TypeVar("Tag")


@dataclass(slots=True)
class _Run(Generic[Tag]):
    at: int
    origin: int
    length: int
    tag: Tag
    is_moment: bool

    @property
    def goes_on_at(self) -> int:
        return self.origin + (0 if self.is_moment else self.length)


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
        self._runs: list[_Run[Tag]] = []  # as many as `forget` leaves
        self.end = start
        """One past the last sample noted."""

    def note(self, length: int, origin: int, tag: Tag) -> None:
        """The next `length` samples here are the samples from `origin` on over there."""
        self._note(length, origin, tag, is_moment=False)

    def note_silence(self, length: int, origin: int, tag: Tag) -> None:
        """The next `length` samples here are nothing over there: all of them are at `origin`."""
        self._note(length, origin, tag, is_moment=True)

    def locate(self, sample: int) -> Place[Tag] | None:
        """Where a sample came from; None for one that was never noted or is forgotten."""
        index = bisect_right(self._runs, sample, key=lambda run: run.at) - 1
        if index < 0 or sample >= self.end:
            return None
        run = self._runs[index]
        return Place(run.origin + (0 if run.is_moment else sample - run.at), run.tag)

    def clamp(self, sample: int) -> int:
        """The nearest sample that `locate` knows, if there is any."""
        return min(max(sample, self._runs[0].at), self.end - 1) if self._runs else sample

    def covers(self, start: int, end: int) -> bool:
        """Whether `locate` knows anything of [start, end)."""
        return bool(self._runs) and start < self.end and max(end, start + 1) > self._runs[0].at

    def forget(self, before: int) -> None:
        """Drops runs that lie wholly before a sample; the last one stays, for text that comes late."""
        self._keep_from(run.at + run.length > before for run in self._runs)

    def forget_origins(self, before: int) -> None:
        """The same by the samples over there, where these ascend, too."""
        self._keep_from(run.origin + (1 if run.is_moment else run.length) > before for run in self._runs)

    def __len__(self) -> int:
        """Runs kept."""
        return len(self._runs)

    def _keep_from(self, is_kept: Iterable[bool]) -> None:
        keep = next((index for index, kept in enumerate(is_kept) if kept), len(self._runs) - 1)
        del self._runs[: max(keep, 0)]

    def _note(self, length: int, origin: int, tag: Tag, *, is_moment: bool) -> None:
        if not length:
            return
        last = self._runs[-1] if self._runs else None
        self.end += length
        if last and (last.tag, last.is_moment, last.goes_on_at) == (tag, is_moment, origin):
            last.length += length
        else:
            self._runs.append(_Run(self.end - length, origin, length, tag, is_moment))
