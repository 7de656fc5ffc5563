"""One state per lane, and what all of them say together."""

from __future__ import annotations

from bot.links.transcriber.states import LinkState, LinkStates, TranscriberHealth

UP, LOST, MUTE, CLOSED = LinkState.UP, LinkState.LOST, LinkState.MUTE, LinkState.CLOSED


def test_health_is_that_of_the_worst_lane() -> None:
    """Each change of it is said once, with the detail of a lane in that state and how many are."""
    states = LinkStates()
    assert states.change(1, UP, "a") is None
    assert states.change(2, UP, "a") is None
    assert states.change(1, LOST, "a: gone") == TranscriberHealth(False, "a: gone (1 of 2 lanes)")
    assert states.change(2, LOST, "a: gone too") is None
    assert states.change(2, MUTE, "b: no text") == TranscriberHealth(False, "b: no text (1 of 2 lanes)")
    assert states.change(2, UP, "c") == TranscriberHealth(False, "a: gone (1 of 2 lanes)")
    assert states.change(1, UP, "c") == TranscriberHealth(True, "c")


def test_a_lane_that_is_over_says_nothing_any_more() -> None:
    """Its trouble goes with it if others know better; the last one to go leaves what was said."""
    states = LinkStates()
    states.change(1, LOST, "gone")
    states.change(2, UP, "a")
    assert states.change(1, CLOSED, "") == TranscriberHealth(True, "a")
    states.change(2, MUTE, "no text")
    assert states.change(2, CLOSED, "") is None
    assert states.change(3, CLOSED, "") is None
    assert states.change(4, UP, "a") == TranscriberHealth(True, "a")


def test_trouble_that_no_lane_is_left_to_see_the_end_of_is_stale() -> None:
    """Then, and only then, a visit to a server is news."""
    states = LinkStates()
    seen = [(states.are_stale, states.visited("a"))]
    states.change(1, LOST, "gone")
    seen.append((states.are_stale, states.visited("a")))
    states.change(1, CLOSED, "")
    seen.append((states.are_stale, states.visited("a")))
    seen.append((states.are_stale, states.visited("a")))
    assert seen == [(False, None), (False, None), (True, TranscriberHealth(True, "a")), (False, None)]
    assert states.change(2, LOST, "gone") == TranscriberHealth(False, "gone (1 of 1 lanes)")
