"""The line of those who wait for a lane."""

from __future__ import annotations

import numpy as np

from bot.audio.waiting import Said, WaitingLine
from bot.core.segments import Utterance


def audio(length: int, value: int = 1) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """That many equal samples."""
    return np.full(length, value, np.int16)


def nobody(said: Said) -> bool:
    """Is behind."""
    return False


def test_first_come_first_served() -> None:
    """With the audio that came meanwhile, in its order, and the time since they came."""
    line = WaitingLine()
    assert next(line.ready(nobody), None) is None
    assert line.longest(5) == 0
    ana, ben = Utterance(1, "ana", "Ana", 100), Utterance(2, "ben", "Ben", 200)
    first, second = line.add("a", ana, 5), line.add("b", ben, 6)
    first.append(90, audio(10))
    second.append(190, audio(20))
    first.append(100, audio(5, 2))
    assert (len(line), line.samples("a"), line.samples("b"), line.samples()) == (2, 15, 20, 35)
    assert line.longest(8) == 3
    assert line.utterances == [ana, ben]
    assert list(line.ready(nobody)) == [first, second]
    line.serve(first)
    assert (first.start, [len(piece) for piece in first.pieces]) == (90, [10, 5])
    assert list(line.ready(nobody)) == [second]


def test_who_is_behind_earlier_words_of_their_own_keeps_nobody() -> None:
    """Others pass; what the same person says next, on whatever track, does not."""
    line = WaitingLine()
    ana, ben, again = (
        line.add(track, Utterance(number, who, who, 0), number)
        for number, (track, who) in enumerate([("a", "ana"), ("b", "ben"), ("a2", "ana")])
    )
    assert list(line.ready(lambda said: said is ana)) == [ben]
    assert list(line.ready(lambda said: said is again)) == [ana, ben]
    line.serve(ben)
    assert list(line.ready(nobody)) == [ana, again]


def test_the_oldest_of_a_track_is_given_up() -> None:
    """Across pieces and utterances, never of others; one that has ended and has no audio left goes."""
    line = WaitingLine()
    ended = line.add("a", Utterance(1, "ana", "Ana", 0, end=30), 0)
    line.add("b", Utterance(2, "ben", "Ben", 0), 0).append(0, audio(50))
    going_on = line.add("a", Utterance(3, "ana", "Ana", 100), 0)
    for start in (0, 10, 20):
        ended.append(start, audio(10))
    going_on.append(100, audio(10))
    assert list(line.drop("a", 15)) == [(0, 15)]
    assert (ended.start, [len(piece) for piece in ended.pieces]) == (15, [5, 10])
    assert list(line.drop("a", 20)) == [(15, 15), (100, 5)]
    assert list(line.drop("a", 20)) == [(105, 5)]
    assert list(line.drop("a", 20)) == []
    assert [len(line), line.samples("a"), line.samples("b")] == [2, 0, 50]
    going_on.append(140, audio(10))
    assert (going_on.start, going_on.samples) == (140, 10)
