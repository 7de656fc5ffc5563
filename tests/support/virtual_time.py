"""An asyncio loop whose clock is virtual: when every task sleeps, time jumps to the next deadline.

Sockets and threads still work: a ready file descriptor goes before a jump, and so does what a thread of the loop's
executor is at (it wakes the loop when it is done).
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.threads_at_work = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout and self.threads_at_work:
            return super().select(None)
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout is not None and timeout > 0:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`loop.time()` starts at 1000 s and moves only by jumping to the next timer."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual monotonic seconds."""
        return self._jumping.now

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Time stands still until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._jumping.threads_at_work += 1
        future.add_done_callback(self._one_less)
        return future

    def _one_less(self, future: asyncio.Future[Any]) -> None:
        self._jumping.threads_at_work -= 1

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """The threads end in their own time, which a timeout of virtual seconds would not give them."""
        await super().shutdown_default_executor()


def loop_factory(virtual: bool) -> Any:
    """A loop factory for `asyncio.Runner`."""
    return VirtualTimeLoop if virtual else asyncio.SelectorEventLoop
