"""What is too long for a model, and for how long nothing came of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcriber.core.limits import (
    MAX_CALL_S,
    MAX_DRAIN_S,
    MAX_ILLNESS_PAUSE_S,
    MAX_REPLACEMENT_S,
    MAX_START_S,
    TimeLimits,
    Unanswered,
    WarmUp,
    fitting,
)

SECONDS = st.floats(0, 1e6)


def test_a_quick_model_has_the_least_of_each() -> None:
    """As before anything is known."""
    assert fitting(WarmUp(start=0.9, short=0.02, full=0.2)) == TimeLimits()
    assert TimeLimits().answer == TimeLimits().call + TimeLimits().replacement == 35


def test_a_slow_model_has_what_it_needs() -> None:
    """Twelve times its longest call; twice and three times its start; three passes with their second tries."""
    assert fitting(WarmUp(start=40, short=0.4, full=2.5)) == TimeLimits(call=30, replacement=80, start=120, drain=8)
    assert fitting(WarmUp(start=9, short=0.3, full=1.5)).drain == pytest.approx(5.4)


def test_a_call_with_several_windows_may_take_several_times_as_long() -> None:
    """The warm-up has one."""
    assert fitting(WarmUp(full=0.75), batch=4).call == fitting(WarmUp(full=3)).call == 36


def test_a_model_that_is_slowest_with_short_windows_counts_by_those() -> None:
    """One far away takes as long for either, give or take."""
    assert fitting(WarmUp(short=3, full=2.5)).call == 36


@given(SECONDS, SECONDS, SECONDS, st.integers(1, 64))
def test_whatever_the_model_all_limits_have_bounds(start: float, short: float, full: float, batch: int) -> None:
    """And what is slower never has less."""
    least, most = TimeLimits(), TimeLimits(MAX_CALL_S, MAX_REPLACEMENT_S, MAX_START_S, MAX_DRAIN_S)
    limits, slower = fitting(WarmUp(start, short, full), batch), fitting(WarmUp(start + 9, short + 9, full + 9), batch)
    for name in ("call", "replacement", "start", "drain", "answer"):
        values = [getattr(each, name) for each in (least, limits, slower, most)]
        assert values == sorted(values), name


def test_unanswered_is_the_time_of_calls_without_a_result() -> None:
    """From the first call, or the last result while others go on."""
    unanswered = Unanswered()
    assert unanswered.seconds(100) == 0
    unanswered.begin(100)
    unanswered.begin(103)
    assert unanswered.seconds(105) == 5
    unanswered.end(105, answered=True)
    assert unanswered.seconds(107) == 2
    unanswered.end(107, answered=True)
    assert unanswered.seconds(200) == 0


def test_a_failure_is_no_result_and_a_pause_does_not_count() -> None:
    """Calls that fail add up, however short; the time between them does not count, nor is anything wrong in it."""
    unanswered = Unanswered()
    for at in (100, 110, 120):
        unanswered.begin(at)
        unanswered.end(at + 4, answered=False)
        assert unanswered.seconds(at + 5) == 0
    unanswered.begin(130)
    assert unanswered.seconds(131) == 13
    unanswered.end(132, answered=True)
    unanswered.begin(140)
    assert unanswered.seconds(141) == 1


def test_an_old_illness_is_over() -> None:
    """Two calls hung, then nobody asked for a while: the next one has waited for nothing yet."""
    unanswered = Unanswered()
    unanswered.begin(100)
    unanswered.end(140, answered=False)
    unanswered.begin(140 + MAX_ILLNESS_PAUSE_S + 1)
    assert unanswered.seconds(140 + MAX_ILLNESS_PAUSE_S + 3) == 2


@given(st.integers(1, 64), st.floats(0.1, 20))
def test_in_overload_answers_come(streams: int, call: float) -> None:
    """However many wait for one that answers: never longer than a call."""
    unanswered, now = Unanswered(), 0.0
    unanswered.begin(now)
    for _ in range(streams):
        now += call
        assert unanswered.seconds(now) == pytest.approx(call)
        unanswered.begin(now)
        unanswered.end(now, answered=True)
