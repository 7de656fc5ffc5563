"""A lane's ledger: whose samples it carries, and which utterances on it the server has still to decide."""

from __future__ import annotations

from dataclasses import dataclass

from bot.audio.sample_map import SampleMap
from bot.core.segments import Utterance


@dataclass(frozen=True, slots=True)
class Found:
    """Where a stretch of a lane came from."""

    utterance: Utterance
    start: int
    """Meeting sample."""
    end: int
    shift: int
    """Meeting samples minus lane samples, there."""


class Ledger:
    """One lane's samples, on the lane's clock. One entry for each utterance that is undecided, and the last one."""

    def __init__(self) -> None:
        self._samples: SampleMap[Utterance] = SampleMap()
        self._open: list[Utterance] = []  # on the lane and not decided, oldest first
        self._kept_from = 0  # lane sample: before it everything is decided or dropped

    def begin(self, utterance: Utterance) -> None:
        """What is noted next belongs to this utterance."""
        self._open.append(utterance)

    def note(self, length: int, origin: int) -> None:
        """The next `length` samples are those of the latest utterance from meeting sample `origin` on."""
        self._samples.note(length, origin, self._open[-1])

    @property
    def undecided(self) -> int:
        """Samples that the server has not decided."""
        return self._samples.end - self._kept_from

    @property
    def undecided_utterances(self) -> list[Utterance]:
        """On the lane and not complete, oldest first; none: the lane is free."""
        return list(self._open)

    def drop(self, samples: int) -> tuple[int, int]:
        """The oldest undecided samples are given up, `undecided` at most.

        Returns:
            Lane sample before which nothing is kept; meeting sample of the first one dropped.
        """
        place = self._samples.locate(self._kept_from)
        assert place is not None  # what is undecided is known
        self._kept_from += samples
        return self._kept_from, place.origin

    def decided(self, sample: int) -> list[Utterance]:
        """Everything before the lane's `sample` is decided; returns the utterances that are thereby complete."""
        self._kept_from = max(self._kept_from, min(sample, self._samples.end))
        self._samples.forget(self._kept_from)
        return self.settle()

    def settle(self) -> list[Utterance]:
        """Utterances that are complete: they have ended, and everything of them is decided."""
        place = self._samples.locate(self._kept_from)
        done = []
        while self._open and self._open[0].end is not None:
            if place is not None and place.tag is self._open[0]:
                break
            done.append(self._open.pop(0))
        return done

    def find(self, start: int, end: int) -> Found | None:
        """Whose speech the lane's samples [start, end) are, by their middle. None: nobody's, or forgotten."""
        middle = (start + end) // 2
        place = self._samples.locate(middle)
        if place is None:
            return None
        utterance, shift = place.tag, place.origin - middle
        last_sample = max(end - 1, start)
        first, last = self._samples.locate(start), self._samples.locate(last_sample)
        return Found(
            utterance,
            start + shift if first and first.tag is utterance else utterance.onset,
            last_sample + 1 + shift if utterance.end is None or (last and last.tag is utterance) else utterance.end,
            shift,
        )
