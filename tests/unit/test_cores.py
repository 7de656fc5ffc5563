"""How workers share the cores."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import pytest

from tests.support import cores
from tests.support.cores import Cores


def test_what_one_has_the_other_waits_for(tmp_path: Path) -> None:
    """And who wants more than there is gets all of it."""
    Cores.prepare(tmp_path, 1.0)
    ours, theirs = Cores(tmp_path), Cores(tmp_path)
    entered = threading.Event()

    def want(cores: float) -> None:
        with theirs.taken(cores):
            entered.set()

    with ours.taken(0.6):
        with theirs.taken(0.4), ours.taken(0.0):
            pass
        waiting = threading.Thread(target=want, args=(7.0,))
        waiting.start()
        assert not entered.wait(0.1)
    assert entered.wait(10)
    waiting.join()
    ours.close()
    theirs.close()


def test_what_others_use_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle cores are ours; of those that another program is at we get half, and of niced ones all."""
    times = iter([[0] * 10, [150, 100, 50, 100, 0, 0, 0, 999, 0, 0]])
    monkeypatch.setattr(cores, "_processor_times", lambda: next(times))
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert cores.left_by_others(0) == 3.0


def test_where_the_kernel_counts_no_time_all_cores_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """With none, nobody would wait for anybody."""
    monkeypatch.setattr(cores, "_processor_times", lambda: [0] * 10)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3, 5})
    assert cores.left_by_others(0) == 2.0


@pytest.mark.parametrize(
    ("seconds", "expected"), [(cores.STEPS_S / 0.8, 0.8), (cores.STEPS_S / 2, 1.0), (cores.STEPS_S * 9, cores.SLOWEST)]
)
def test_a_slow_core_is_less_than_one(seconds: float, expected: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the same additions take there."""
    clock = itertools.count(0.0, seconds)
    monkeypatch.setattr(cores, "STEPS", 1)
    monkeypatch.setattr("time.process_time", lambda: next(clock))
    assert cores.speed() == pytest.approx(expected)
