"""Something costly to open that stays open over several tests, on an event loop that does: theirs end with each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from typing import Any, TypeVar

T = TypeVar("T")
Ask = Callable[[Coroutine[Any, Any, Any]], Any]
"""Waits for what one of its methods answers."""


@contextmanager
def staying(opening: AbstractAsyncContextManager[T]) -> Iterator[tuple[T, Ask]]:
    """Opened and closed by one task, in a thread of its own: while tests wait for their turn, it need not.

    A test that is interrupted (by its timeout, by Ctrl-C) while this opens ends the opening.
    """
    loop, closing = asyncio.new_event_loop(), asyncio.Event()
    opened: Future[T] = Future()

    async def keep() -> None:
        async with opening as what:
            opened.set_result(what)
            await closing.wait()

    keeping = loop.create_task(keep())

    async def kept() -> None:
        await keeping

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(kept())

    def end(how: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # it has ended by itself, and its loop with it
            loop.call_soon_threadsafe(how)

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(run)
        waited: set[Future[Any]] = {opened, running}
        try:
            wait(waited, return_when=FIRST_COMPLETED)
        except BaseException:
            end(keeping.cancel)
            raise
        if not opened.done():
            running.result()  # it raises what did not open
        try:
            yield opened.result(), lambda asked: asyncio.run_coroutine_threadsafe(asked, loop).result()
        finally:
            end(closing.set)
            running.result()
