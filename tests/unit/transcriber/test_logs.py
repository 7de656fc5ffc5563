"""How much is logged."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from transcriber.logs import BURST, Sparing, configure_logging


def test_a_flood_of_warnings_becomes_one_a_second() -> None:
    """After a burst; the next one says how many were left out; other events have budgets of their own."""
    now = 0.0
    sparing = Sparing(lambda: now)

    def warn(event: str = "client.refused") -> dict[str, Any] | None:
        try:
            return dict(sparing(None, "warning", {"event": event}))
        except structlog.DropEvent:
            return None

    assert [warn() for _ in range(BURST)] == [{"event": "client.refused"}] * BURST
    assert [warn() for _ in range(50)] == [None] * 50
    assert warn("other") == {"event": "other"}
    now = 1.0
    assert warn() == {"event": "client.refused", "unsaid": 50}
    assert warn() is None
    now = 1000.0
    assert warn() == {"event": "client.refused", "unsaid": 1}
    assert [warn() for _ in range(BURST)] == [{"event": "client.refused"}] * (BURST - 1) + [None]


@pytest.mark.parametrize("method", ["debug", "info"])
def test_what_was_asked_for_is_not_left_out(method: str) -> None:
    """A line per pass, however many passes there are."""
    sparing = Sparing(lambda: 0.0)
    for _ in range(1000):
        assert sparing(None, method, {"event": "decoding.done"}) == {"event": "decoding.done"}


def test_lines_of_libraries_are_lines_like_ours(capsys: pytest.CaptureFixture[str], restored: None) -> None:
    """JSON, with the traceback in it, and not more of them than of ours."""
    configure_logging("info", as_json=True)
    for _ in range(1000):
        try:
            raise OSError("Too many open files")
        except OSError:
            logging.getLogger("asyncio").exception("socket.accept() out of %s", "system resource")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert BURST <= len(lines) < BURST + 3
    assert (lines[0]["event"], lines[0]["name"], lines[0]["level"]) == ("library", "asyncio", "error")
    assert lines[0]["message"] == "socket.accept() out of system resource"
    assert "Too many open files" in lines[0]["exception"]


@pytest.fixture
def restored() -> Iterator[None]:
    """Logging is the process's."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
