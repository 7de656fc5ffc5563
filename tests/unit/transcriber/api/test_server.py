"""What the process says about itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from transcriber.api.server import Phase, ServiceHealth
from transcriber.core.limits import TimeLimits

SERVING = ServiceHealth("small.en", max_clients=64, clients=3, phase="serving", last_decode=1.23456)


def test_all_is_well() -> None:
    """Every field, rounded."""
    assert (SERVING.is_healthy, SERVING.is_ready) == (True, True)
    assert SERVING.body() == {
        "status": "ok",
        "backend": "faster_whisper",
        "model": "small.en",
        "clients": 3,
        "max_clients": 64,
        "last_decode_s": 1.2,
        "waiting": 0,
        "oldest_wait_s": 0.0,
        "engine": "up",
        "restarts": 0,
        "level": 0,
        "unanswered_s": 0.0,
    }


def test_nothing_to_do_is_healthy() -> None:
    """However long ago the last result came, or none ever."""
    assert replace(SERVING, last_decode=None).is_healthy
    assert replace(SERVING, last_decode=86_400.0).is_healthy


@pytest.mark.parametrize("phase", ["starting", "draining"])
def test_a_process_that_serves_nobody_is_not_ready_but_healthy(phase: Phase) -> None:
    """Before the model is warm, and after SIGTERM: killing it would help nobody."""
    status = replace(SERVING, phase=phase)
    assert (status.is_healthy, status.is_ready, status.body()["status"]) == (True, False, phase)


def test_overload_is_not_illness() -> None:
    """However long passes wait: as long as results come, a restart would only lose what waits."""
    assert replace(SERVING, waiting=60, oldest_wait=600.0, level=6).is_ready


def test_an_engine_that_gives_no_result_is_red() -> None:
    """When there was none for longer than the model may take."""
    slow = replace(SERVING, limits=TimeLimits(call=120, replacement=80), unanswered=200.0)
    assert slow.is_ready
    late = replace(slow, unanswered=200.1)
    assert (late.is_healthy, late.is_ready, late.body()["status"]) == (False, False, "stalled")
    assert late.body()["unanswered_s"] == 200.1


def test_an_engine_that_fails_every_call_is_red_at_once() -> None:
    """Until another one is warm."""
    failing = replace(SERVING, down=0.1, is_failing=True)
    assert (failing.is_healthy, failing.is_ready, failing.body()["status"]) == (False, False, "failing")


def test_a_lost_engine_is_red_when_no_new_one_comes() -> None:
    """At once not ready; not healthy when that takes longer than it may."""
    lost = replace(SERVING, down=1.0, restarts=1)
    assert (lost.is_healthy, lost.is_ready, lost.body()["status"]) == (True, False, "restarting")
    assert lost.body()["engine"] == "restarting"
    gone = replace(lost, down=lost.limits.replacement + 1)
    assert (gone.is_healthy, gone.is_ready, gone.body()["status"]) == (False, False, "stalled")
