"""Logs on stderr: colours for a terminal, JSON lines for machines. Never what was said."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable

import structlog
from structlog.typing import EventDict, WrappedLogger

BURST = 20
"""Warnings and errors of one kind that are logged at any speed; then one a second: a flood must not fill the disk."""


class Sparing:
    """A structlog processor: leaves out warnings and errors that come too often, and says later how many."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Event → lines it may still have at that time, and lines left out since. Events are constants: few.
        self._budgets: dict[str, tuple[float, float, int]] = {}

    def __call__(self, _: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Passes the event on. Raises DropEvent."""
        if method in ("debug", "info"):
            return event
        now = self._clock()
        left, at, unsaid = self._budgets.get(event["event"], (float(BURST), now, 0))
        left = min(BURST, left + now - at)
        if left < 1:
            self._budgets[event["event"]] = (left, now, unsaid + 1)
            raise structlog.DropEvent
        self._budgets[event["event"]] = (left - 1, now, 0)
        return {**event, "unsaid": unsaid} if unsaid else event


class Libraries(logging.Handler):
    """Lines of libraries as lines of ours: without open files asyncio alone writes thousands a second."""

    def emit(self, record: logging.LogRecord) -> None:
        """Passes a line on."""
        structlog.get_logger().log(
            record.levelno, "library", name=record.name, message=record.getMessage(), exc_info=record.exc_info
        )


def configure_logging(level: str, as_json: bool | None = None) -> None:
    """Sets up structlog. `as_json` None: JSON unless stderr is a terminal."""
    if as_json is None:
        as_json = not sys.stderr.isatty()
    renderer = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            Sparing(),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info if as_json else structlog.processors.StackInfoRenderer(),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[Libraries()], level=logging.WARNING, force=True)
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # port scanners are not our errors
