"""Somebody else's collector on our Redis."""

from __future__ import annotations

import pytest
import structlog

from bot.links.redis.collector import warn_of_collector
from rehearsal.embedded_redis import EmbeddedRedis
from tests.support.servers.redis_server import client

pytestmark = [pytest.mark.redis, pytest.mark.slow]


async def test_a_number_is_warned_about_where_a_collector_reads() -> None:
    """Not a text, and not where nobody reads or only others do; a Redis that does not answer is not its business."""
    async with EmbeddedRedis() as url, client(url) as redis:
        with structlog.testing.capture_logs() as lines:
            await warn_of_collector(url, 42)
            await redis.xgroup_create("transcription_segments", "ours", mkstream=True)
            await warn_of_collector(url, 42)
            await redis.xgroup_create("transcription_segments", "collector_group")
            await warn_of_collector(url, "m-42")
            await warn_of_collector("redis://127.0.0.1:1", 42)
            assert lines == []
            await warn_of_collector(url, 42)
        assert [line["event"] for line in lines] == ["redis.collector_found"]
