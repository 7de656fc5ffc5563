"""The test harness itself."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.servers.pages import chromium_settings
from tests.support.tools import require


async def test_virtual_time_jumps(virtual_time: None) -> None:
    """Sleeping an hour takes no time and moves the loop's clock by an hour."""
    started, virtual = time.perf_counter(), asyncio.get_running_loop().time()
    await asyncio.sleep(3600)
    assert time.perf_counter() - started < 1
    assert asyncio.get_running_loop().time() - virtual >= 3600


async def test_virtual_time_waits_for_threads(virtual_time: None) -> None:
    """It stands still while one is at work: no deadline passes that real time would have kept."""
    virtual = asyncio.get_running_loop().time()
    async with asyncio.timeout(300):
        await asyncio.to_thread(time.sleep, 0.05)
    assert asyncio.get_running_loop().time() == virtual


def test_whoever_starts_chromium_has_its_mark(request: pytest.FixtureRequest) -> None:
    """Without it nobody would leave it a core: the test fails, and says why."""
    with pytest.raises(pytest.fail.Exception, match="has the mark `browser`"):
        chromium_settings()
    request.node.add_marker("redis")
    require(tool=True, reason="", mark="redis")
