"""Playwright's driver: a process of its own, started and ended within a deadline."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog

from bot.drivers.browser.sandbox import NO_PLAYWRIGHT
from common.contracts.status import SubCode
from common.errors import EarshotError

START_TIMEOUT_S = 20.0
CLOSE_TIMEOUT_S = 0.4
"""For Chromium, and again for its driver; then they are killed. Three busy programs on each core make it 0.2 s."""
LANDING_TIMEOUT_S = 0.5

log = structlog.get_logger(__name__)


@asynccontextmanager
async def running_driver(folder: Path) -> AsyncIterator[Any]:
    """Playwright's driver, with its temporary files in the folder. Raises EarshotError: BROWSER_UNAVAILABLE."""
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        raise EarshotError(SubCode.BROWSER_UNAVAILABLE, NO_PLAYWRIGHT) from None
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(folder)  # the driver has it from us; Python's own `tempfile` has read it already
    try:
        driver = await _start(async_playwright())
    except TimeoutError:
        raise EarshotError(SubCode.BROWSER_UNAVAILABLE, "Playwright's driver did not start.") from None
    finally:
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before
    try:
        yield driver
    finally:
        await within(driver.stop(), CLOSE_TIMEOUT_S)


async def _start(playwright: Any) -> Any:
    """Starts a driver. Given up in mid-air it is stopped as soon as it is there. Raises TimeoutError."""
    starting = asyncio.ensure_future(playwright.start())
    try:
        driver = await asyncio.wait_for(asyncio.shield(starting), START_TIMEOUT_S)
    except (TimeoutError, asyncio.CancelledError):
        await asyncio.wait({starting}, timeout=LANDING_TIMEOUT_S)
        if not starting.done() or starting.exception() is not None:
            starting.cancel()
        else:
            await within(starting.result().stop(), LANDING_TIMEOUT_S)
        raise
    # Nobody else asks for what the driver's end raised (private: Playwright is pinned), and asyncio would log that.
    playwright._client._transport.on_error_future.add_done_callback(lambda end: end.cancelled() or end.exception())
    return driver


async def within(closing: Any, timeout: float) -> bool:
    """Lets something close, for so long. Returns whether it did; what did not is to be killed."""
    task: asyncio.Future[Any] = asyncio.ensure_future(closing)
    failure: BaseException | None = None
    try:
        done, _ = await asyncio.wait({task}, timeout=timeout)
    finally:  # cancelled, too: it is ours to end, and what it raises ours to take
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            failure = task.exception()
    if failure is not None:
        log.debug("browser_close_failed", why=type(failure).__name__)
    return bool(done)
