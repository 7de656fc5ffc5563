"""What the process says about itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from transcriber.api.server import MAX_ENGINE_DOWN_S, MAX_PASS_WAIT_S, Phase, ServiceHealth

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


def test_a_pass_that_does_not_come_back_is_red() -> None:
    """After ten seconds."""
    assert replace(SERVING, oldest_wait=MAX_PASS_WAIT_S).is_ready
    late = replace(SERVING, oldest_wait=MAX_PASS_WAIT_S + 0.1)
    assert (late.is_healthy, late.is_ready, late.body()["status"]) == (False, False, "stalled")


def test_a_lost_engine_is_red_when_no_new_one_comes() -> None:
    """At once not ready, after half a minute not healthy."""
    lost = replace(SERVING, down=1.0, restarts=1)
    assert (lost.is_healthy, lost.is_ready, lost.body()["status"]) == (True, False, "restarting")
    assert lost.body()["engine"] == "restarting"
    gone = replace(lost, down=MAX_ENGINE_DOWN_S + 1)
    assert (gone.is_healthy, gone.is_ready, gone.body()["status"]) == (False, False, "stalled")
