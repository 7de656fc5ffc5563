"""Redis fails under a whole meeting: gone, frozen, deaf, full, read-only. Every word is stored, once and in order."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.chain import Chain, chain
from tests.support.lanes import free_port
from tests.support.measures import in_time, note
from tests.support.seeds import FULL

pytestmark = [pytest.mark.processes, pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]
DOWN_S, SILENT_S, REFUSED_S = (60.0, 20.0, 10.0) if FULL else (3.0, 4.0, 3.0)
MAX_FLUSH_S = 6.0
"""2 s for the link's longest pause between tries, 2 s for the backlog, and a busy machine."""

Act = Callable[[], Awaitable[Any]]


async def stored_so_far(here: Chain) -> float:
    """Waits until what was said before now is stored; returns the seconds. For when Redis is back."""
    began = time.monotonic()
    wanted = {who: sum(one.end > one.begin and not one.is_torn for one in said) for who, said in here.said.items()}
    async with asyncio.timeout(60):
        while True:
            finals = await here.finals()
            words = {who: sum(len(f["text"].split()) for f in finals if f["speaker_id"] == who) for who in wanted}
            if all(words[who] >= 3 * count for who, count in wanted.items()):
                return time.monotonic() - began
            await asyncio.sleep(0.05)


async def test_redis_down_for_a_minute_costs_no_word(seed: int, tmp_path: Path) -> None:
    """kill -9 in mid-sentence and a restart: what was said meanwhile is there soon after, and the age of what waits was
    to be seen."""
    async with chain(seed, tmp_path) as here:
        await here.start_bot()
        await here.hears_everybody()
        async with here.conversation():
            await here.some_time()
            await here.redis.stop(kill=True)
            await asyncio.sleep(DOWN_S)
            age = await waiting_age(here)
            await here.redis.start()
            flushed = await stored_so_far(here)
            await here.some_time()
        await here.settled()
        assert in_time(flushed, MAX_FLUSH_S)
        assert age > DOWN_S / 10
        grown = await here.end()
        note("test_redis_down_for_a_minute_costs_no_word", seed, flushed_s=flushed, oldest_s=age, grown_mb=grown)


async def waiting_age(here: Chain) -> float:
    """Seconds that the oldest final has waited, as the bot's metrics say."""
    async with asyncio.timeout(30):
        while not (text := await here.ask("/metrics")):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return float(next(line for line in text.splitlines() if line.startswith("bot_outbox_age_seconds ")).split()[1])


async def costs_no_word(here: Chain, begin: Act, end: Act, seconds: float) -> float:
    """So long, in the middle of a meeting; returns the seconds in which all was stored afterwards."""
    await here.start_bot()
    await here.hears_everybody()
    async with here.conversation():
        await here.some_time()
        await begin()
        await asyncio.sleep(seconds)
        await end()
        flushed = await stored_so_far(here)
        await here.some_time()
    await here.settled()
    assert in_time(flushed, MAX_FLUSH_S)
    await here.end()
    return flushed


async def test_a_redis_that_falls_silent_costs_no_word(seed: int, tmp_path: Path) -> None:
    """Frozen by SIGSTOP, or cut off without a word, in turns: what the woken server still does is not done twice."""
    async with chain(seed, tmp_path) as here:

        async def freeze() -> None:
            os.kill(here.redis.pid, signal.SIGSTOP)

        async def wake() -> None:
            os.kill(here.redis.pid, signal.SIGCONT)

        async def cut() -> None:
            here.redis_proxy.passing.clear()

        async def join() -> None:
            here.redis_proxy.passing.set()

        acts = (freeze, wake) if seed % 2 == 0 else (cut, join)
        flushed = await costs_no_word(here, *acts, SILENT_S)
        note("test_a_redis_that_falls_silent_costs_no_word", seed, flushed_s=flushed)


async def test_answers_of_redis_that_never_arrive_double_no_word(seed: int, tmp_path: Path) -> None:
    """One in twenty is lost after the work was done, from the first to the last word."""
    async with chain(seed, tmp_path, loses_reply=0.05) as here:
        await here.start_bot()
        await here.hears_everybody()
        async with here.conversation():
            await asyncio.sleep(30.0 if FULL else 6.0)
        await here.settled()
        await here.end()
        note("test_answers_of_redis_that_never_arrive_double_no_word", seed, lost_answers=here.redis_proxy.lost)


async def test_a_redis_that_takes_nothing_costs_no_word(seed: int, tmp_path: Path) -> None:
    """Out of memory, or a replica, in turns: what is refused waits, and goes there when that is over."""
    begin: Act
    end: Act
    async with chain(seed, tmp_path) as here:
        if seed % 2 == 0:
            begin, end = (partial(here.consumer.config_set, "maxmemory", most) for most in ("1", "0"))
        else:
            begin, end = (
                partial(here.consumer.replicaof, *of) for of in (("127.0.0.1", str(free_port())), ("NO", "ONE"))
            )
        flushed = await costs_no_word(here, begin, end, REFUSED_S)
        note("test_a_redis_that_takes_nothing_costs_no_word", seed, flushed_s=flushed)
