"""The seating plan of lanes."""

from __future__ import annotations

from bot.audio.lanes import IDLE_TIMEOUT_S, Lanes


def test_a_track_keeps_its_lane_and_others_get_their_own() -> None:
    """Two speakers never share, one speaker never gets two."""
    lanes = Lanes()
    assert lanes.seat("a", 0) == 1
    assert lanes.seat("b", 0) == 2
    lanes.rest(1, 1)
    assert lanes.seat("a", 2) == 1
    assert len(lanes) == 2


def test_idle_lanes_are_closed_and_not_reused() -> None:
    """A lane rests for a minute, then it may be closed; speech after that opens a new one."""
    lanes = Lanes()
    lanes.seat("a", 0)
    lanes.seat("b", 0)
    lanes.rest(1, 5)
    assert lanes.idle(5 + IDLE_TIMEOUT_S - 0.1) == []
    assert lanes.idle(5 + IDLE_TIMEOUT_S) == [1]
    lanes.close(1)
    assert lanes.idle(5 + IDLE_TIMEOUT_S) == []
    assert lanes.seat("a", 100) == 3


def test_renewed_lanes_finish_what_is_said() -> None:
    """After a change of language the next utterance gets a new lane; the old one is idle as soon as it rests."""
    lanes = Lanes()
    lanes.seat("a", 0)
    lanes.renew()
    assert lanes.idle(1) == []
    lanes.rest(1, 2)
    assert lanes.idle(2) == [1]
    assert lanes.seat("a", 3) == 2
    assert lanes.idle(3) == [1]
    lanes.close(1)
    assert lanes.seat("a", 4) == 2
