"""Nothing lost, doubled or reordered in the stream, whatever happens to Redis or to the bot."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time

import pytest
from redis.asyncio import Redis

from bot.core.outbox import KEEP_STORED_S
from bot.links.redis.link import RedisLink
from bot.links.redis.stream import CHECK_INTERVAL_S
from common.contracts.status import SubCode
from common.errors import EarshotError
from tests.support.servers.proxies import TcpProxy
from tests.support.servers.redis_server import client, payloads, running, server
from tests.support.waiting import eventually

pytestmark = [pytest.mark.redis, pytest.mark.timeout(60)]


async def stored(consumer: Redis, expected: list[str]) -> None:
    """Waits until the stream holds exactly that."""
    async with asyncio.timeout(8):
        while (found := await payloads(consumer)) != expected:
            assert expected[: len(found)] == found
            await asyncio.sleep(0.05)


async def test_lost_replies_store_each_payload_once() -> None:
    """One reply in five is lost after Redis did the work: no duplicate, no loss, no reordering."""
    numbers = random.Random(1)
    sent = [f"final {index}" for index in range(400)]
    async with (
        server() as redis,
        TcpProxy("127.0.0.1", redis.port, lambda chunk: numbers.random() < 0.2) as proxy,
    ):
        link = RedisLink(f"redis://127.0.0.1:{proxy.port}", "bot", 1, random=lambda: 0.01)
        async with running(link):
            for payload in sent:
                link.publish_final(payload)
                if numbers.random() < 0.3:
                    await asyncio.sleep(0.001)
            assert await link.flush(10) == 0
        assert proxy.lost > 10
        async with client(redis.url) as consumer:
            assert await payloads(consumer) == sent


async def test_killed_redis_comes_back_with_everything() -> None:
    """kill -9 of a Redis with an append-only file, four times in a stream of finals."""
    sent = []
    changes: list[bool] = []
    async with server(append_only=True) as redis:
        link = RedisLink(redis.url, "bot", 1, on_change=lambda up, detail: changes.append(up))
        async with running(link):
            for crash in range(4):
                for index in range(200):
                    sent.append(f"{crash}.{index}")
                    link.publish_final(sent[-1])
                    await asyncio.sleep(0.0005)
                    if index == 100:
                        await redis.stop(kill=True)
                await eventually(lambda: link.backlog[0] > 0)
                await redis.start()
                back = time.monotonic()
                assert await link.flush(5) == 0
                assert time.monotonic() - back <= 2.5, "the backlog is flushed soon after Redis is back"
            assert link.durable
        async with client(redis.url) as consumer:
            assert await payloads(consumer) == sent
    assert changes[:2] == [False, True]


async def test_frozen_redis_holds_nothing_up_and_doubles_nothing() -> None:
    """SIGSTOP: commands give up after a second, and what the woken server still does is not done twice."""
    changes: list[tuple[float, bool]] = []
    async with server() as redis:
        link = RedisLink(redis.url, "bot", 1, on_change=lambda up, _: changes.append((time.monotonic(), up)))
        async with running(link):
            link.publish_final("before")
            assert await link.flush(2) == 0
            os.kill(redis.pid, signal.SIGSTOP)
            frozen = time.monotonic()
            for index in range(50):
                link.publish_final(f"during {index}")
            await asyncio.sleep(3)
            os.kill(redis.pid, signal.SIGCONT)
            assert await link.flush(5) == 0
            await eventually(lambda: len(changes) == 2)
        async with client(redis.url) as consumer:
            assert await payloads(consumer) == ["before", *(f"during {index}" for index in range(50))]
    assert [up for _, up in changes] == [False, True]
    assert changes[0][0] - frozen <= 2.0, "noticed within two seconds"


async def test_silent_partition_is_noticed_and_survived() -> None:
    """Nothing is closed and nothing passes: noticed within two seconds, flushed afterwards."""
    changes: list[tuple[float, bool]] = []
    async with server() as redis, TcpProxy("127.0.0.1", redis.port) as proxy:
        link = RedisLink(
            f"redis://127.0.0.1:{proxy.port}", "bot", 1, on_change=lambda up, _: changes.append((time.monotonic(), up))
        )
        async with running(link):
            proxy.passing.clear()
            cut = time.monotonic()
            link.publish_final("behind the wall")
            await eventually(lambda: bool(changes))
            assert changes[0][0] - cut <= 2.0
            proxy.passing.set()
            assert await link.flush(5) == 0
        async with client(redis.url) as consumer:
            assert await payloads(consumer) == ["behind the wall"]


async def test_a_restarted_bot_continues_the_numbering() -> None:
    """The same connectionId again: later finals are appended, none is taken for an old one."""
    async with server() as redis, client(redis.url) as consumer:
        for life in ("first", "second", "third"):
            async with running(RedisLink(redis.url, "bot", 1)) as link:
                for index in range(3):
                    link.publish_final(f"{life} {index}")
                assert await link.flush(2) == 0
        assert await payloads(consumer) == [f"{life} {i}" for life in ("first", "second", "third") for i in range(3)]
        assert await consumer.get("{transcription_segments}:seq:bot") == "9"
        assert 86_000 < await consumer.ttl("{transcription_segments}:seq:bot") <= 86_400
        assert await consumer.ttl("transcription_segments") == -1, "the stream itself never expires"


async def test_a_bot_that_was_taken_over_stores_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the seconds until it looks at its lock it would use its successor's numbers, and one of both would vanish."""
    monkeypatch.setattr("bot.links.redis.link.RENEW_INTERVAL_S", 60.0)
    async with server() as redis, client(redis.url) as consumer:
        old = RedisLink(redis.url, "bot", 1)
        await old.open()
        running_old = asyncio.create_task(old.run())
        old.publish_final("old")
        assert await old.flush(2) == 0
        await consumer.delete("earshot:lock:bot")  # as if it had been frozen for longer than its lock lasts
        async with running(RedisLink(redis.url, "bot", 1)) as new:
            old.publish_final("too late")
            with pytest.raises(EarshotError) as caught:
                await asyncio.wait_for(running_old, 3)
            assert caught.value.code is SubCode.DUPLICATE_BOT
            new.publish_final("new")
            assert await new.flush(2) == 0
        await old.close()
        assert await payloads(consumer) == ["old", "new"]
        assert 86_000 < await consumer.ttl("{transcription_segments}:fence:bot") <= 86_400


@pytest.mark.parametrize("is_idle", [True, False])
async def test_a_redis_that_forgot_everything_gets_the_last_seconds_again(is_idle: bool) -> None:
    """FLUSHALL in mid-meeting takes lock, numbers and fence: the bot goes on, and what it has just said is there again,
    although nothing more is said."""
    async with server() as redis, client(redis.url) as consumer, running(RedisLink(redis.url, "bot", 1)) as link:
        link.publish_final("forgotten")
        assert await link.flush(2) == 0
        await consumer.flushall()
        sent = ["forgotten"]
        if not is_idle:
            link.publish_final("stored")
            sent.append("stored")
        await stored(consumer, sent)


async def test_a_redis_that_wrote_nothing_down_loses_only_what_is_old() -> None:
    """kill -9 without an append-only file: the last 5 s are sent again by their numbers, what was before is gone."""
    gone: list[int] = []
    async with (
        server() as redis,
        running(RedisLink(redis.url, "bot", 1, on_gone=gone.append, random=lambda: 0.1)) as link,
    ):
        link.publish_final("old")
        assert await link.flush(2) == 0
        await asyncio.sleep(KEEP_STORED_S + CHECK_INTERVAL_S + 0.5)
        for text in ("new", "newer"):
            link.publish_final(text)
            assert await link.flush(2) == 0
        await redis.stop(kill=True)
        link.publish_final("while it was away")
        await redis.start()
        async with client(redis.url) as consumer:
            await stored(consumer, ["new", "newer", "while it was away"])
        assert (gone, await link.flush(2)) == ([1], 1), "the end does not count it as stored"


async def test_two_bots_share_the_stream() -> None:
    """Numbering is per bot: two meetings at once interleave and lose nothing."""
    async with (
        server() as redis,
        running(RedisLink(redis.url, "a", 1)) as first,
        running(RedisLink(redis.url, "b", 2)) as second,
        client(redis.url) as consumer,
    ):
        for index in range(100):
            first.publish_final(f"a{index}")
            second.publish_final(f"b{index}")
        assert (await first.flush(2), await second.flush(2)) == (0, 0)
        stored = await payloads(consumer)
        assert [payload for payload in stored if payload[0] == "a"] == [f"a{index}" for index in range(100)]
        assert [payload for payload in stored if payload[0] == "b"] == [f"b{index}" for index in range(100)]


async def test_full_redis_stores_both_or_nothing() -> None:
    """Out of memory refuses the append and its number together; lifting the limit brings all of it, once."""
    sent = [f"{index} " + "x" * 2000 for index in range(300)]
    async with server() as redis, client(redis.url) as consumer:
        async with running(RedisLink(redis.url, "bot", 1, random=lambda: 0.05)) as link:
            await consumer.config_set("maxmemory-policy", "noeviction")
            await consumer.config_set("maxmemory", "1200kb")
            for payload in sent:
                link.publish_final(payload)
            assert await link.flush(1.5) > 0
            await consumer.config_set("maxmemory", "0")
            assert await link.flush(5) == 0
        assert await payloads(consumer) == sent
