"""Tasks of one bot, none of which fails unheard: whatever ends one but its own return ends the meeting in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from common.contracts.status import SubCode
from common.errors import EarshotError

log = structlog.get_logger(__name__)


class Tasks:
    """Those that run, by name.

    Args:
        fail: Told why the meeting cannot go on: a failure's sub-code and words, or INTERNAL_ERROR.
    """

    def __init__(self, fail: Callable[[SubCode, str], None]) -> None:
        self._fail = fail
        self._running: set[asyncio.Task[Any]] = set()
        self.are_ending = False
        """From now on a task that is cancelled is no bug."""

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Runs it, and hears of its end."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        name = task.get_name()
        if task.cancelled():
            if not self.are_ending:
                log.error("bot.task_cancelled", task=name)
                self._fail(SubCode.INTERNAL_ERROR, f"a bug in the bot ({name} was cancelled from within), see the log")
            return
        match task.exception():
            case None:
                pass
            case EarshotError() as error:
                self._fail(error.code, str(error))
            case BaseException() as error:
                log.error("bot.bug", task=name, exc_info=error)
                self._fail(SubCode.INTERNAL_ERROR, f"a bug in the bot ({name}), see the log")

    def cancel(self, name: str) -> None:
        """Cancels those of that name."""
        for task in self._running:
            if task.get_name() == name:
                task.cancel()

    async def close(self, *others: asyncio.Task[Any] | None, within: float) -> None:
        """Cancels them all, and others, and waits for so many seconds; whoever stays is named in the log."""
        tasks = {*self._running, *filter(None, others)}
        for task in tasks:
            task.cancel()
        if tasks:
            _, stuck = await asyncio.wait(tasks, timeout=within)
            if stuck:
                log.error("bot.stuck", tasks=[task.get_name() for task in stuck])
