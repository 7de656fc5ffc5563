"""Tracks that come later than they were said, through the audio plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bot.audio.frame import AudioFrame
from bot.audio.lanes import Lanes
from bot.audio.plane import AudioPlane, LaneEnd, PlaneOrder

ZERO, LATE_S, PIECE = 500.0, 3.0, 320


def loud(pcm: NDArray[np.float32]) -> float:
    """A speech detector for tests: loud is speech."""
    return 1.0 if np.abs(pcm).max() > 0.1 else 0.0


def test_a_late_track_has_not_stalled() -> None:
    """A mix that is made elsewhere comes 3 s later: what is said is one utterance, placed when it was said, and ends in
    time once nothing comes any more."""
    plane = AudioPlane(ZERO, lambda: loud, lambda _: ("mix", ""), Lanes(3))
    orders: list[PlaneOrder] = []
    for piece in range(100):
        said = ZERO + 10 + piece * 0.02
        frame = AudioFrame("mix", np.full(PIECE, 8000, np.int16), piece * PIECE, 1, said, LATE_S)
        orders += plane.frame(frame) + plane.idle(said + LATE_S)
    assert LaneEnd(1) not in orders
    [utterance], _ = plane.undecided()
    assert abs(utterance.onset - 10 * 16_000) < 1600
    assert LaneEnd(1) not in plane.idle(ZERO + 12 + LATE_S + 0.5)
    assert LaneEnd(1) in plane.idle(ZERO + 12 + LATE_S + 0.8)


def test_what_comes_late_because_we_are_is_not_cut_up() -> None:
    """A process that stood still for two seconds catches up, and looks at its tracks meanwhile: somebody who has spoken
    on all the time has not stopped. One utterance, also where it is the last one on its track."""
    plane = AudioPlane(ZERO, lambda: loud, lambda _: ("t1", ""), Lanes(3))
    orders: list[PlaneOrder] = []
    for piece in range(200):
        said = 10 + piece * 0.02
        now = ZERO + (said if piece < 50 else 13 + (piece - 50) * 0.002)
        orders += plane.frame(AudioFrame("t1", np.full(PIECE, 8000, np.int16), round(said * 16_000), 1, now))
        if piece % 15 == 0:
            orders += plane.idle(now)
    assert LaneEnd(1) not in orders
    assert plane.idle(ZERO + 13.3 + 0.5) == []
    assert plane.idle(ZERO + 13.3 + 0.7)[-1] == LaneEnd(1)
