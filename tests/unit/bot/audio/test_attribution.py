"""Whose the finals of a mix are, and when that is said."""

from __future__ import annotations

from bot.audio.attribution import Attribution
from bot.audio.floor import Floor
from bot.audio.turns import Turns
from bot.core.segments import SegmentTracker, Utterance
from common.audio.pcm import SAMPLE_RATE
from common.contracts.segments import Segment, Word

ZERO = 100.0


class Mix:
    """Finals of one utterance, and what is said of them."""

    def __init__(self, holders: Floor | Turns) -> None:
        self.tracker = SegmentTracker("c", 0.0)
        self.attribution = Attribution(holders, self.tracker, str.title)
        self._utterance = Utterance(1, "mix", "", 0)

    def add(self, start: float, end: float, *words: str) -> None:
        """A final of these words, each a part of the time."""
        step = (end - start) / len(words)
        times = [Word(word, start + n * step, start + (n + 1) * step, 1.0) for n, word in enumerate(words)]
        bounds = round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)
        final = self.tracker.update(self._utterance, *bounds, " ".join(words), True, "en", times)
        assert final is not None
        self.attribution.add(final)

    def waits(self) -> bool:
        """Whether anything is kept back."""
        return self.attribution.waits

    def take(self, at: float, *, at_the_end: bool = False) -> list[tuple[str, str, str]]:
        """Name, id and text of what is said at this second of the meeting."""
        return [told(final) for final in self.attribution.take(ZERO + at, at_the_end=at_the_end)]


def told(final: Segment) -> tuple[str, str, str]:
    """Name, id and text."""
    return final.speaker, final.speaker_id, final.text


def floor(*reports: tuple[float, str]) -> Floor:
    """Who is reported from which second on; the last report is the end of what is known."""
    made = Floor(ZERO, lifetime=100.0)
    for at, who in reports:
        made.report(frozenset({who} if who else ()), ZERO + at)
    return made


def test_a_final_waits_until_it_is_certain_who_spoke_and_the_next_behind_it() -> None:
    """In order, though of the second it is known as early."""
    mix = Mix(floor((0, "ana")))
    assert not mix.waits()
    mix.add(1, 3, "I", "do")
    mix.add(3, 4, "so")
    assert mix.waits()
    assert mix.take(3.9) == []
    assert mix.take(4.1) == [("Ana", "ana", "I do")]
    assert mix.take(5.1) == [("Ana", "ana", "so")]
    assert not mix.waits()


def test_a_final_of_several_is_parted_and_what_nobody_knows_is_nobodys() -> None:
    """Each part has an id of its own; a final without one who spoke keeps the mix's."""
    mix = Mix(floor((0, "ana"), (4, "ben"), (20, "")))
    mix.add(1, 9, "I", "do", "you", "not")
    assert [speaker for speaker, _, _ in mix.take(12)] == ["Ana", "unknown", "Ben"]
    mix.add(22, 23, "who")
    assert mix.take(26) == [("unknown", "mix", "who")]


def test_at_the_end_nothing_is_kept() -> None:
    """A platform might still have reported: nobody's. Tracks have no more to say: theirs."""
    mix = Mix(floor((0, "ana")))
    mix.add(1, 3, "late")
    assert mix.take(3.1, at_the_end=True) == [("unknown", "mix", "late")]
    turns = Turns(ZERO)
    turns.began("a", "ana", 0)
    mixed = Mix(turns)
    mixed.add(1, 3, "late")
    assert mixed.take(3.1) == []
    assert mixed.take(3.1, at_the_end=True) == [("Ana", "ana", "late")]
