"""The test harness itself."""

from __future__ import annotations

import asyncio
import time


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
