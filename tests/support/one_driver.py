"""One Playwright driver for all tests of a file.

A bot starts its own, and so do other tests. To load it is a quarter of what a test with Chromium computes, and where
that is not what the test is about, one is enough.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.drivers.browser import launch
from bot.drivers.browser.driver import running_driver
from tests.support.servers.pages import chromium_settings


@contextmanager
def one_driver(runner: asyncio.Runner) -> Iterator[None]:
    """Whoever starts Chromium on the runner's loop gets the same driver."""
    chromium_settings()  # there is one, or the reason to skip
    with pytest.MonkeyPatch.context() as patch:
        opened = AsyncExitStack()
        folder = runner.run(opened.enter_async_context(launch.own_folder()))
        driver = runner.run(opened.enter_async_context(running_driver(folder)))
        try:
            patch.setattr(launch, "running_driver", lambda own: _lent(driver, own))
            yield
        finally:
            runner.run(opened.aclose())


@asynccontextmanager
async def _lent(driver: Any, folder: Path) -> AsyncIterator[Any]:
    yield driver
