"""An asyncio loop whose clock is virtual: when every task sleeps, time jumps to the next deadline.

Sockets still work: a ready file descriptor always goes before a jump.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
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


def loop_factory(virtual: bool) -> Any:
    """A loop factory for `asyncio.Runner`."""
    return VirtualTimeLoop if virtual else asyncio.SelectorEventLoop
