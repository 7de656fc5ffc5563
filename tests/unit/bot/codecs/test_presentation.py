"""Presentation times become positions: samples follow each other, holes stay, another clock is said."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.codecs.presentation import BACK_S, HOLE_S, MAX_HOLE_S, PresentationClock

RATE = 16_000


def test_rounded_stamps_move_nothing() -> None:
    """FLV has whole milliseconds, AAC pieces of 21.33 ms: positions are contiguous for an hour."""
    clock, due = PresentationClock(), 0
    for index in range(170_000):
        samples = 341 + (index % 3 == 0)
        assert clock.place(int(due / 16) / 1000, samples) == due
        due += samples
    assert clock.restarts == 0


def test_a_hole_is_as_long_as_its_stamps_say() -> None:
    """What comes after one lies later by as much; what comes next follows it."""
    clock = PresentationClock()
    assert clock.place(5.0, 320) == 0
    assert clock.place(5.02 + HOLE_S / 2, 320) == 320
    assert clock.place(7.04 + HOLE_S / 2, 320) == 640 + 2 * RATE
    assert clock.place(7.06 + HOLE_S / 2, 320) == 960 + 2 * RATE
    assert clock.restarts == 0


def test_a_clock_that_begins_anew_says_so() -> None:
    """Back by more than a publisher shifts, or on by more than a hole: positions begin at 0 again."""
    clock = PresentationClock()
    clock.place(100.0, 320)
    assert clock.place(100.02 - BACK_S / 2, 320) == 320
    assert clock.place(0.0, 320) == 0
    assert clock.restarts == 1
    assert clock.place(1.0 + MAX_HOLE_S, 320) == 0
    assert clock.restarts == 2


def test_pieces_without_a_stamp_follow_the_one_before() -> None:
    """At the beginning, and between others."""
    clock = PresentationClock()
    assert clock.place(None, 100) == 0
    assert clock.place(3.0, 320) == 100
    assert clock.place(None, 320) == 420
    assert clock.place(3.04, 320) == 740
    assert clock.restarts == 0


@given(st.lists(st.tuples(st.none() | st.floats(-1e6, 1e6), st.integers(1, 16_000)), max_size=200))
def test_positions_never_go_back_within_one_clock(pieces: list[tuple[float | None, int]]) -> None:
    """Whatever is written on them."""
    clock, ends = PresentationClock(), dict[int, int]()
    for stamp, samples in pieces:
        position = clock.place(stamp, samples)
        assert position >= ends.get(clock.restarts, 0)
        ends[clock.restarts] = position + samples
