"""Redis fails under a whole meeting: gone, frozen, deaf, full, read-only. Every word is stored, once and in order."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.chain import Chain, chain
from tests.support.lanes import free_port
from tests.support.measures import in_time, note
from tests.support.seeds import FULL

pytestmark = [pytest.mark.processes, pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]
DOWN_S, SILENT_S, REFUSED_S = (60.0, 20.0, 10.0) if FULL else (3.0, 4.0, 3.0)
MAX_FLUSH_S = 6.0
"""2 s for the link's longest pause between tries, 2 s for the backlog, and a busy machine."""


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


async def test_a_redis_that_falls_silent_costs_no_word(seed: int, tmp_path: Path) -> None:
    """Frozen by SIGSTOP, or cut off without a word, in turns: what the woken server still does is not done twice."""
    is_frozen = seed % 2 == 0
    async with chain(seed, tmp_path) as here:
        await here.start_bot()
        await here.hears_everybody()
        async with here.conversation():
            await here.some_time()
            if is_frozen:
                os.kill(here.redis.pid, signal.SIGSTOP)
            else:
                here.redis_proxy.passing.clear()
            await asyncio.sleep(SILENT_S)
            if is_frozen:
                os.kill(here.redis.pid, signal.SIGCONT)
            else:
                here.redis_proxy.passing.set()
            flushed = await stored_so_far(here)
            await here.some_time()
        await here.settled()
        assert in_time(flushed, MAX_FLUSH_S)
        await here.end()
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
    is_full = seed % 2 == 0
    async with chain(seed, tmp_path) as here:
        await here.start_bot()
        await here.hears_everybody()
        async with here.conversation():
            await here.some_time()
            if is_full:
                await here.consumer.config_set("maxmemory", "1")
            else:
                await here.consumer.replicaof("127.0.0.1", str(free_port()))
            await asyncio.sleep(REFUSED_S)
            if is_full:
                await here.consumer.config_set("maxmemory", "0")
            else:
                await here.consumer.replicaof("NO", "ONE")
            flushed = await stored_so_far(here)
            await here.some_time()
        await here.settled()
        assert in_time(flushed, MAX_FLUSH_S)
        await here.end()
        note("test_a_redis_that_takes_nothing_costs_no_word", seed, flushed_s=flushed)
