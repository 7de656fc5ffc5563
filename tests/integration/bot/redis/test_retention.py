"""Retention of the segment stream by a real Redis: policies trim it, and no consumer loses what it has yet to read."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import structlog
from redis.asyncio import Redis

from bot.links.redis.link import RedisLink
from bot.links.redis.retention import Retention
from common.contracts.keys import SEGMENT_STREAM
from tests.support.servers.redis_server import client, running, server

pytestmark = [pytest.mark.redis, pytest.mark.timeout(60)]

NODE = 100
"""Entries of a node of the stream, which are trimmed together."""


async def fill(redis: Redis, entries: int, age_s: float = 0.0) -> None:
    """Entries with ids of that age."""
    first = int((time.time() - age_s) * 1000)
    async with redis.pipeline(transaction=False) as pipeline:
        for number in range(entries):
            pipeline.xadd(SEGMENT_STREAM, {"payload": str(number)}, id=f"{first}-{number}")
        await pipeline.execute()


async def test_the_newest_entries_are_kept() -> None:
    """`redis.keepEntries`: about so many stay, the newest; fewer are left alone, and a missing stream too."""
    async with server() as redis, client(redis.url) as admin:
        retention = Retention(keep_entries=500, keep_hours=None)
        await retention.trim(admin)
        await fill(admin, 400)
        await retention.trim(admin)
        assert await admin.xlen(SEGMENT_STREAM) == 400
        await fill(admin, 1_000)
        await retention.trim(admin)
        assert 500 <= await admin.xlen(SEGMENT_STREAM) < 500 + NODE


async def test_entries_of_a_certain_age_go() -> None:
    """`redis.keepHours`: what is older goes; whichever of both bounds asks for more is followed."""
    async with server() as redis, client(redis.url) as admin:
        await fill(admin, 1_000, age_s=2 * 3600)
        await fill(admin, 300)
        await Retention(keep_entries=None, keep_hours=3).trim(admin)
        assert await admin.xlen(SEGMENT_STREAM) == 1_300
        await Retention(keep_entries=1_200, keep_hours=1).trim(admin)
        assert 300 <= await admin.xlen(SEGMENT_STREAM) < 300 + NODE


async def test_a_consumer_group_keeps_what_it_has_not_acknowledged() -> None:
    """One that has read nothing, or read and not acknowledged, holds the stream, which is said once; then it goes."""
    async with server() as redis, client(redis.url) as admin:
        retention = Retention(keep_entries=NODE, keep_hours=None)
        await fill(admin, 1_000)
        await admin.xgroup_create(SEGMENT_STREAM, "storing", id="0")
        with structlog.testing.capture_logs() as lines:
            await retention.trim(admin)
            await retention.trim(admin)
        assert await admin.xlen(SEGMENT_STREAM) == 1_000
        assert [(line["event"], line["group"]) for line in lines] == [("stream_held_by_group", "storing")]
        read: Any = await admin.xreadgroup("storing", "a", {SEGMENT_STREAM: ">"}, count=600)
        entries = read[0][1]
        await retention.trim(admin)
        assert await admin.xlen(SEGMENT_STREAM) == 1_000
        await admin.xack(SEGMENT_STREAM, "storing", *(number for number, _ in entries[:500]))
        await retention.trim(admin)
        assert 500 <= await admin.xlen(SEGMENT_STREAM) < 500 + NODE
        oldest: Any = await admin.xrange(SEGMENT_STREAM, count=1)
        assert oldest[0][0] <= entries[500][0]


async def test_the_bot_trims_while_it_runs() -> None:
    """Asked for in the configuration, it is done from the start on; not asked for, never."""
    async with server() as redis, client(redis.url) as admin:
        await fill(admin, 1_000)
        async with running(RedisLink(redis.url, "bot", 1)) as link:
            link.publish_final("x")
            await link.flush(2)
        assert await admin.xlen(SEGMENT_STREAM) == 1_001
        async with running(RedisLink(redis.url, "bot", 1, retention=Retention(NODE, None))):
            async with asyncio.timeout(5):
                while await admin.xlen(SEGMENT_STREAM) >= 2 * NODE:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
