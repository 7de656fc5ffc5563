"""How much is logged."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from transcriber.logs import BURST, Sparing


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
