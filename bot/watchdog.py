"""The watchdog: a thread that ends a process whose event loop turns no more, or whose end takes too long.

Everything else in the bot waits on the event loop; nothing there can say that the loop itself is stuck.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from contextlib import suppress

import structlog

from common.logging import drain_log

TICK_S = 0.1
STUCK_S = 20.0
"""Seconds without a turn of the loop after which nobody will come back to it: no call of ours may take one."""
STUCK_AT_END_S = 3.0
"""The same once the process is to end: of what is left to do, nothing takes the loop for so long."""
BEAT_INTERVAL_S = 1.0
"""Between two signs of life of the loop."""
DUMP_TIMEOUT_S = 0.1
"""For the stacks, whose reader may be gone or stuck."""

log = structlog.get_logger(__name__)


class Watchdog:
    """Believes the clock only as far as its own ticks go: a process that was suspended for long has no stuck loop."""

    def __init__(self) -> None:
        self._beats = 0
        self._left = float("inf")

    def start(self) -> None:
        """Watches from now on, for as long as the process lives."""
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def beat(self) -> None:
        """The loop turns."""
        self._beats += 1

    def expect_end(self, seconds: float) -> None:
        """The process is to be over within `seconds`, else it is ended. Fit for a signal handler."""
        self._left = seconds

    def _watch(self) -> None:
        pause, silent, seen, before = threading.Event(), 0.0, 0, time.monotonic()
        while True:
            pause.wait(TICK_S)
            now = time.monotonic()
            passed, before = min(now - before, 2 * TICK_S), now
            silent = silent + passed if self._beats == seen else 0.0
            seen = self._beats
            self._left -= passed
            if silent >= (STUCK_S if self._left == float("inf") else STUCK_AT_END_S):
                log.critical("bot.loop_stuck", seconds=round(silent, 1))
            elif self._left <= 0:
                log.critical("bot.end_overdue", advice="what was not stored is lost; the stacks show what took so long")
            else:
                continue
            leave(1, with_stacks=True)


def leave(exit_code: int, *, with_stacks: bool = False) -> None:
    """Ends the process at once, as far as the log lets it; with what every thread was doing, for whoever repairs it."""
    drain_log()
    if with_stacks and sys.__stderr__ is not None:
        dump = threading.Thread(target=_dump_stacks, args=(sys.__stderr__.fileno(),), daemon=True)
        dump.start()
        dump.join(DUMP_TIMEOUT_S)
    os._exit(exit_code)


def _dump_stacks(descriptor: int) -> None:
    with suppress(OSError, ValueError):
        faulthandler.dump_traceback(descriptor)
