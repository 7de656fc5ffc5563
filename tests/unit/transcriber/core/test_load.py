"""How much is given up under load, and when it comes back."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from transcriber.core.load import (
    HURRY_WAIT_S,
    LADDER,
    LEVEL_HOLD_S,
    MAX_WAITS,
    MIN_WAITS,
    RESTORE_HOLD_S,
    RESTORE_WAIT_S,
    SHED_WAIT_S,
    WAIT_WINDOW_S,
    LoadShedder,
)


def wait(load: LoadShedder, seconds: float, now: float, passes: int = MIN_WAITS) -> None:
    """Several passes that waited so long."""
    for _ in range(passes):
        load.waited(seconds, now)


def test_each_step_gives_up_more() -> None:
    """Cadence, window, eager finals, partials, then new clients; never finals."""
    assert [effort.cadence for effort in LADDER[:4]] == sorted(effort.cadence for effort in LADDER[:4])
    for before, after in pairwise(LADDER):
        assert after.trim >= before.trim or not after.partials
        assert after.eager <= before.eager
        assert after.partials <= before.partials
        assert after.admit <= before.admit
    assert not LADDER[-1].admit
    assert not LADDER[-1].partials


def test_waits_raise_the_level() -> None:
    """One step at a time, each after a while and on new evidence; a few long waits are no load."""
    load = LoadShedder()
    wait(load, 2 * SHED_WAIT_S, 0, passes=MIN_WAITS - 1)
    assert not load.update(0)
    wait(load, 2 * SHED_WAIT_S, 0)
    assert load.update(0)
    assert (load.level, load.effort) == (1, LADDER[1])
    assert not load.update(LEVEL_HOLD_S)
    wait(load, 2 * SHED_WAIT_S, LEVEL_HOLD_S)
    assert not load.update(LEVEL_HOLD_S - 0.1)
    assert load.update(LEVEL_HOLD_S)
    assert load.level == 2


def test_finals_are_hurried_as_soon_as_anybody_waits() -> None:
    """Several that go together, one that was kept waiting, one that keeps others waiting; and while something is left
    out."""
    load = LoadShedder()
    assert not load.hurries([0.0], 0.0)
    assert not load.hurries([HURRY_WAIT_S], HURRY_WAIT_S)
    assert load.hurries([0.0, 0.0], 0.0)
    assert load.hurries([HURRY_WAIT_S + 0.01], 0.0)
    assert load.hurries([0.0], HURRY_WAIT_S + 0.01)
    wait(load, 2 * SHED_WAIT_S, 0)
    load.update(0)
    assert load.hurries([0.0], 0.0)


def test_a_slow_model_is_under_load_when_something_is_always_late() -> None:
    """It makes too few passes to count; each step up needs a whole span of that again, and once is not always."""
    load, now, raised = LoadShedder(), 0.0, list[float]()
    while load.level < len(LADDER) - 1:
        wait(load, 5, now, passes=1)
        if load.update(now, oldest=0.1 if now in (0, 2) else 2 * SHED_WAIT_S):
            raised.append(now)
        now += 1
    assert raised[0] == 5
    assert {later - before for before, later in pairwise(raised)} == {3}
    assert not load.update(now + 9, oldest=2 * SHED_WAIT_S)


def test_a_calm_span_lowers_the_level() -> None:
    """Not one long wait in it, however few there are; passes that wait and have not begun count too."""
    for few in (0, 1):
        load = LoadShedder()
        wait(load, 1, 0)
        assert load.update(0)
        wait(load, 2 * RESTORE_WAIT_S, 0.5, passes=few)
        assert not load.update(0.5)
        assert not load.update(1 + RESTORE_HOLD_S * bool(few))
        assert not load.update(4, oldest=RESTORE_WAIT_S)
        assert not load.update(4 + RESTORE_HOLD_S)
        assert load.update(4.1 + RESTORE_HOLD_S)
        assert load.level == 0


def test_the_level_does_not_swing() -> None:
    """Between the two limits it stays where it is."""
    load = LoadShedder()
    wait(load, 1, 0)
    load.update(0)
    for second in range(1, 20):
        wait(load, (SHED_WAIT_S + RESTORE_WAIT_S) / 2, second)
        assert not load.update(second)


def test_old_waits_are_forgotten() -> None:
    """They were on another day."""
    load = LoadShedder()
    wait(load, 9, 0, passes=2 * MAX_WAITS)
    assert load.tail == 9
    assert not load.update(WAIT_WINDOW_S + 1)
    assert load.tail == 0


def test_the_worst_level_is_the_last_and_recovery_takes_less_than_ten_seconds() -> None:
    """Until nothing is given up any more."""
    load, now = LoadShedder(), 0.0
    while now < 30:
        wait(load, 5, now)
        load.update(now, oldest=5)
        now += 0.5
    assert load.level == len(LADDER) - 1
    end = now
    while load.level:
        load.update(now)
        now += 0.5
    assert now - end < 10


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 20)), max_size=200))
def test_the_level_moves_by_one(steps: list[tuple[float, float]]) -> None:
    """And never leaves the ladder."""
    load, now = LoadShedder(), 0.0
    for seconds, later in steps:
        now += later
        load.waited(seconds, now)
        before = load.level
        assert load.update(now) == (load.level != before)
        assert abs(load.level - before) <= 1
        assert 0 <= load.level < len(LADDER)
