"""The seating plan of lanes."""

from __future__ import annotations

from bot.audio.lanes import IDLE_TIMEOUT_S, Lanes

OURS = frozenset({"utterance", "segment_language", "ack"})
STOCK: frozenset[str] = frozenset()


def test_where_the_server_grants_it_one_lane_serves_all_who_take_turns() -> None:
    """A free lane goes to whoever speaks next, and to nobody while something on it is undecided."""
    lanes = Lanes(most=3)
    assert lanes.seat("a") == (1, None)
    lanes.granted(1, OURS)
    lanes.free(1, 1)
    assert lanes.seat("b") == (1, None)
    assert lanes.seat("c") == (2, None)
    lanes.granted(2, OURS)
    lanes.free(2, 2)
    lanes.free(1, 3)
    assert lanes.seat("c") == (1, None)  # the lowest: the second one falls idle
    assert (lanes.holder(1), lanes.holder(2), lanes.holder(9)) == ("c", None, None)
    assert (lanes.held_by("c"), lanes.held_by("a")) == (1, None)


def test_who_speaks_on_stays_on_the_lane() -> None:
    """A track whose audio is undecided gets no second lane."""
    lanes = Lanes(most=3)
    assert [lanes.seat("a") for _ in range(2)] == [(1, None), (1, None)]
    assert len(lanes) == 1


def test_before_the_greeting_and_on_a_stock_server_nobody_shares() -> None:
    """What the server grants is not known yet, or it is too little: one lane for each speaker."""
    for grants in (STOCK, frozenset({"utterance"}), frozenset({"segment_language"}), None):
        lanes = Lanes(most=3)
        lanes.seat("a")
        if grants is not None:
            lanes.granted(1, grants)
        lanes.free(1, 1)
        assert lanes.seat("b") == (2, None)
        assert lanes.seat("a") == (1, None)


def test_at_the_bound_a_stock_lane_is_closed_for_somebody_else() -> None:
    """The free one that was used longest ago; where none is free there is no seat."""
    lanes = Lanes(most=2)
    lanes.seat("a")
    lanes.seat("b")
    assert lanes.seat("c") == (None, None)
    lanes.free(2, 1)
    lanes.free(1, 2)
    assert lanes.seat("c") == (3, 2)
    assert lanes.seat("b") == (4, 1)
    assert lanes.seat("a") == (None, None)
    assert len(lanes) == 2


def test_a_greeting_after_a_break_asks_anew_who_may_use_the_lane() -> None:
    """A failover to a stock server ends the sharing: its connection belongs to whose audio is undecided, if any."""
    lanes = Lanes(most=2)
    lanes.seat("a")
    lanes.granted(1, OURS)
    lanes.free(1, 1)
    lanes.seat("b")
    lanes.granted(1, STOCK)
    lanes.free(1, 2)
    assert lanes.seat("a") == (2, None)
    assert lanes.seat("b") == (1, None)
    lanes.free(1, 3)
    lanes.granted(1, STOCK)  # it has heard nobody
    assert lanes.seat("c") == (1, None)
    lanes.granted(7, OURS)  # a lane that was closed meanwhile


def test_without_a_bound_each_track_has_a_lane_of_its_own() -> None:
    """As `audio.mode: perParticipant` asks, on servers that could be shared, too."""
    lanes = Lanes()
    for number, track in enumerate("abcdef", 1):
        assert lanes.seat(track) == (number, None)
        lanes.granted(number, OURS)
        lanes.free(number, 1)
    assert lanes.seat("b") == (2, None)


def test_idle_lanes_are_closed_and_not_reused() -> None:
    """A lane rests for a minute, then it may be closed; speech after that opens a new one."""
    lanes = Lanes(most=3)
    lanes.seat("a")
    lanes.seat("b")
    lanes.free(1, 5)
    assert lanes.close_idle(5 + IDLE_TIMEOUT_S - 0.1) == []
    assert lanes.close_idle(5 + IDLE_TIMEOUT_S) == [1]
    assert lanes.close_idle(5 + IDLE_TIMEOUT_S) == []
    assert lanes.seat("a") == (3, None)


def test_renewed_lanes_finish_what_is_said() -> None:
    """After a change of language the next utterance gets a new lane, beyond the bound, too; the old one closes."""
    lanes = Lanes(most=1)
    lanes.seat("a")
    assert lanes.seats("a", 1)
    assert lanes.renew() == []
    assert not lanes.seats("a", 1)
    assert lanes.close_idle(1) == []
    assert lanes.seat("b") == (2, None)
    assert (lanes.seats("b", 2), lanes.seats("a", 2), lanes.seats("a", 9)) == (True, False, False)
    assert not lanes.free(1, 2)
    assert lanes.holder(1) is None
    assert len(lanes) == 1
    assert lanes.free(2, 2)
    assert lanes.renew() == [2]
    assert len(lanes) == 0


def test_however_often_lanes_are_renewed_there_are_twice_the_bound() -> None:
    """Those that finish what was begun leave as much room as they take; beyond it whoever speaks waits."""
    lanes = Lanes(most=2)
    assert [lanes.seat(track)[0] for track in "ab"] == [1, 2]
    lanes.renew()
    assert [lanes.seat(track)[0] for track in "cd"] == [3, 4]
    lanes.renew()
    assert lanes.seat("e") == (None, None)
    lanes.free(1, 1)
    assert [lanes.seat(track) for track in "ef"] == [(5, None), (None, None)]
    assert len(lanes) == 4
