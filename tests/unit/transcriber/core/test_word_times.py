"""Word times are in order, inside, and have length."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcriber.core.word_times import MIN_WORD_S, in_order

TIMES = st.lists(st.tuples(st.floats(-5, 40), st.floats(-5, 40)), max_size=60)


def test_times_that_fit_stay() -> None:
    """Pauses between words, too."""
    times = [(1.0, 1.2), (1.5, 1.8), (1.8, 2.0)]
    assert in_order(times, 1.0, 2.0) == times
    assert in_order([], 1.0, 2.0) == []


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([(0.5, 1.2), (1.1, 2.5)], [(1.0, 1.1), (1.1, 2.0)]),
        ([(1.5, 1.5), (1.5, 1.6)], [(1.5, 1.52), (1.52, 1.6)]),
        ([(1.9, 2.4), (2.3, 2.9)], [(1.9, 1.98), (1.98, 2.0)]),
        ([(0.0, 0.1), (0.1, 0.4)], [(1.0, 1.02), (1.02, 1.04)]),
    ],
    ids=["overlap", "no length", "after the end", "before the start"],
)
def test_times_that_do_not_fit_are_moved(times: list[tuple[float, float]], expected: list[tuple[float, float]]) -> None:
    """No further than it takes."""
    assert [pytest.approx(pair) for pair in in_order(times, 1.0, 2.0)] == expected


@given(TIMES, st.floats(0, 30), st.floats(0.1, 15))
def test_words_are_in_order_inside_and_have_length(
    times: list[tuple[float, float]], start: float, length: float
) -> None:
    """Whatever was aligned; also as they are written, in milliseconds."""
    placed = in_order(times, start, start + length)
    edges = [start, *itertools.chain(*placed), start + length]
    assert all(before <= after + 1e-9 for before, after in itertools.pairwise(edges))
    least = min(MIN_WORD_S, length / max(1, len(times)))
    assert all(last - first >= least - 1e-9 and round(first, 3) < round(last, 3) for first, last in placed)


def test_one_word_that_is_put_too_late_carries_no_other_with_it() -> None:
    """It gives way."""
    assert [first for first, _ in in_order([(0, 1), (5, 6), (2, 3), (3, 4)], 0, 10)] == [0, 2, 2.02, 3]
