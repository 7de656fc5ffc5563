"""Something costly to open that stays open over several tests, on an event loop that does: theirs end with each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
Ask = Callable[[Coroutine[Any, Any, Any]], Any]
"""Waits for what one of its methods answers."""


@contextmanager
def staying(opening: AbstractAsyncContextManager[T]) -> Iterator[tuple[T, Ask]]:
    """Opened and closed by one task, in a thread of its own: while tests wait for their turn, it need not."""
    opened: Future[tuple[T, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def keep() -> None:
        async with opening as what:
            closing = asyncio.Event()
            opened.set_result((what, asyncio.get_running_loop(), closing))
            await closing.wait()

    with ThreadPoolExecutor(1) as threads:
        kept = threads.submit(asyncio.run, keep())
        waited: set[Future[Any]] = {opened, kept}
        wait(waited, return_when=FIRST_COMPLETED)
        if not opened.done():
            kept.result()  # it raises what did not open
        what, loop, closing = opened.result()
        try:
            yield what, lambda asked: asyncio.run_coroutine_threadsafe(asked, loop).result()
        finally:
            if not kept.done():
                loop.call_soon_threadsafe(closing.set)
            kept.result()
