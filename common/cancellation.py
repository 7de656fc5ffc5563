"""Cancellation that a library has forgotten."""

from __future__ import annotations

import asyncio


def checkpoint() -> None:
    """Ends the task if it was cancelled: to be called after a library's call, before the task waits for anything else.

    Python 3.11's `asyncio.wait_for`, through which clients of Redis and HTTP send, returns a result that is ready at
    the moment of a cancellation and forgets the cancellation (fixed in 3.12).
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
