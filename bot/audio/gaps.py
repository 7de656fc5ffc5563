"""Gaps: speech that had to be given up because a track's undecided audio reached its bound. Each is told once."""

from __future__ import annotations

from dataclasses import dataclass

QUIET_S = 1.0
"""Seconds without another loss, once decisions come again, after which a gap is over."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Speech that nobody will transcribe. `start`: meeting sample of the first that is lost."""

    track_id: str
    start: int
    samples: int


@dataclass(slots=True)
class _Losing:
    start: int
    samples: int
    at: float
    is_answered: bool = False


class Gaps:
    """The losses of each track. One gap lasts until the transcriber decides again about what the track has."""

    def __init__(self) -> None:
        self._losing: dict[str, _Losing] = {}  # one for each track; bounded as tracks are

    def lost(self, track_id: str, start: int, samples: int, now: float) -> None:
        """Samples from meeting sample `start` on were given up."""
        losing = self._losing.setdefault(track_id, _Losing(start, 0, now))
        losing.samples += samples
        losing.at, losing.is_answered = now, False

    def answered(self, track_id: str) -> None:
        """The transcriber has decided about audio of this track."""
        if losing := self._losing.get(track_id):
            losing.is_answered = True

    def over(self, now: float, *, at_the_end: bool = False) -> list[Gap]:
        """Gaps that have come to their end; all of them `at_the_end` of the meeting."""
        over = {
            track_id: losing
            for track_id, losing in self._losing.items()
            if at_the_end or (losing.is_answered and now - losing.at >= QUIET_S)
        }
        for track_id in over:
            del self._losing[track_id]
        return [Gap(track_id, losing.start, losing.samples) for track_id, losing in over.items()]
