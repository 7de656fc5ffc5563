"""Reports, as the log and the sinks get them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from structlog.testing import capture_logs

from bot.core import events as ev
from bot.reporting import MAX_REFUSALS_KEPT, Reporting
from common.contracts.segments import SessionIdentity


class Kept:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.events: list[Mapping[str, Any]] = []

    def status(self, event: Mapping[str, Any]) -> bool:
        """Keeps it."""
        self.events.append(event)
        return True

    def publish_final(self, payload: str) -> bool:
        """Not asked here."""
        raise NotImplementedError

    def publish_live(self, segment_id: str, message: str, final: bool) -> None:
        """Not asked here."""
        raise NotImplementedError

    async def flush(self, timeout: float) -> int:
        """Nothing waits."""
        return 0


def test_each_refusal_is_logged_once_and_answered_always() -> None:
    """A manager that asks again and again for what we cannot do fills its status stream, and not our log."""
    sink = Kept()
    reporting = Reporting(SessionIdentity("p", 1, None, "bot"), None, [sink])
    asked = 2 * MAX_REFUSALS_KEPT
    with capture_logs() as logged:
        for number in range(asked):
            reporting.command(ev.AnswerCommand(f"dance {number}", False, "unknown action"))
            reporting.command(ev.AnswerCommand("sing", False, "unknown action"))
        reporting.command(ev.AnswerCommand("leave", True, "leaving"))
    assert len(sink.events) == 2 * asked + 1
    levels = [line["log_level"] for line in logged]
    assert (levels.count("warning"), levels.count("info")) == (MAX_REFUSALS_KEPT, 1)
