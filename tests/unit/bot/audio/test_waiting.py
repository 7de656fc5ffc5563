"""The line of those who wait for a lane."""

from __future__ import annotations

import numpy as np

from bot.audio.waiting import WaitingLine
from bot.core.segments import Utterance


def audio(length: int, value: int = 1) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """That many equal samples."""
    return np.full(length, value, np.int16)


def test_first_come_first_served() -> None:
    """With the audio that came meanwhile, in its order, and the time since they came."""
    line = WaitingLine()
    assert line.first is None
    assert line.longest(5) == 0
    ana, ben = Utterance(1, "ana", "Ana", 100), Utterance(2, "ben", "Ben", 200)
    first, second = line.add("a", ana, 5), line.add("b", ben, 6)
    first.append(90, audio(10))
    second.append(190, audio(20))
    first.append(100, audio(5, 2))
    assert (len(line), line.samples("a"), line.samples("b"), line.samples()) == (2, 15, 20, 35)
    assert line.longest(8) == 3
    assert [line.late(since) for since in (4.9, 5, 6)] == [0, 1, 2]
    assert line.utterances == [ana, ben]
    served = line.serve()
    assert served is first
    assert (served.start, [len(piece) for piece in served.pieces]) == (90, [10, 5])
    assert line.first is second


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
