"""The bot's link to a real Redis: start, lock, heartbeat, status, live messages, commands, end."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.links.redis import link as redis_module
from bot.links.redis import lock as redis_lock
from bot.links.redis.link import RedisLink
from common.contracts.heartbeat import parse_heartbeat
from common.contracts.status import SubCode
from common.errors import EarshotError
from rehearsal.embedded_redis import _free_port
from tests.support.servers.proxies import TcpProxy
from tests.support.servers.redis_server import client, payloads, running, server
from tests.support.waiting import eventually

pytestmark = pytest.mark.redis

ROOT = Path(__file__).parents[4]


async def refusal(url: str, connection_id: str = "bot") -> EarshotError:
    """The error of a link that cannot be opened."""
    with pytest.raises(EarshotError) as caught:
        await RedisLink(url, connection_id, 1).open()
    return caught.value


async def test_nobody_there_is_said_in_time_with_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed port: tried for a while (tests/e2e: 8 s), then an error that names address and setting."""
    monkeypatch.setattr(redis_module, "OPEN_TIMEOUT_S", 1.0)
    started, port = time.monotonic(), _free_port()
    error = await refusal(f"redis://:hunter22@127.0.0.1:{port}")
    assert 1 <= time.monotonic() - started <= 3
    assert error.code is SubCode.REDIS_UNREACHABLE
    assert f"127.0.0.1:{port}" in str(error)
    assert "redisUrl" in str(error)
    assert "hunter22" not in str(error)


async def test_frozen_at_the_start_is_said_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that accepts and never answers does not hold the bot up for ever."""
    monkeypatch.setattr(redis_module, "OPEN_TIMEOUT_S", 2.5)
    async with server() as redis, TcpProxy("127.0.0.1", redis.port) as proxy:
        proxy.passing.clear()
        started = time.monotonic()
        error = await refusal(f"redis://127.0.0.1:{proxy.port}")
    assert time.monotonic() - started <= 4.5
    assert "no answer" in str(error)


@pytest.mark.parametrize(
    ("credentials", "words"), [("", "wants a password"), (":wrong-password@", "refused our user or password")]
)
async def test_wrong_password_is_said_at_once(credentials: str, words: str) -> None:
    """NOAUTH and WRONGPASS are not worth waiting for."""
    async with server(options=("--requirepass", "right-password")) as redis:
        started = time.monotonic()
        error = await refusal(f"redis://{credentials}127.0.0.1:{redis.port}")
        assert time.monotonic() - started <= 1
        assert error.code is SubCode.REDIS_UNREACHABLE
        assert words in str(error)
        assert "wrong-password" not in str(error)


async def test_what_is_no_redis_is_said_at_once() -> None:
    """A web server on that port answers something else."""

    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    other = await asyncio.start_server(web, "127.0.0.1", 0)
    error = await refusal(f"redis://127.0.0.1:{other.sockets[0].getsockname()[1]}")
    other.close()
    assert "does not speak the Redis protocol" in str(error)


async def test_the_documented_rights_are_enough_and_fewer_are_named() -> None:
    """The ACL rule of docs/redis.md works as it stands; a user without one right is told which."""
    text = (ROOT / "docs" / "redis.md").read_text(encoding="utf-8").partition("## Rights")[2]
    words = text.replace("`", " ").replace(",", " ").split()
    rules = [rule for rule in words if rule == "resetchannels" or (rule[0] in "~&+" and len(rule) > 1)]
    async with server() as redis, client(redis.url) as admin:
        await admin.execute_command("ACL", "SETUSER", "bot", "on", ">long-password", *rules)  # type: ignore[no-untyped-call]
        url = f"redis://bot:long-password@127.0.0.1:{redis.port}"
        async with running(RedisLink(url, "bot", 7)) as link:
            link.publish_final("x")
            link.status({"status": "joining"})
            link.publish_live("s", "x", final=True)
            assert await link.flush(2) == 0
            await asyncio.sleep(0.1)
            assert not link._failing
        await admin.execute_command("ACL", "SETUSER", "bot", "-eval")  # type: ignore[no-untyped-call]
        assert "may not run what the bot needs" in str(await refusal(url))


async def test_a_stream_key_of_another_kind_is_refused() -> None:
    """Somebody's string under the stream's name would block every final: said before joining."""
    async with server() as redis, client(redis.url) as consumer:
        await consumer.set("transcription_segments", "x")
        assert "not a stream" in str(await refusal(redis.url))


async def test_the_second_bot_with_one_id_gives_way() -> None:
    """The lock is taken before joining; the loser knows within seconds, the winner notices nothing."""
    async with server() as redis, client(redis.url) as consumer:
        async with running(RedisLink(redis.url, "bot", 1)) as link:
            started = time.monotonic()
            error = await refusal(redis.url)
            assert error.code is SubCode.DUPLICATE_BOT
            assert time.monotonic() - started <= redis_lock.RENEW_INTERVAL_S + 1.5
            assert await consumer.exists("earshot:lock:bot", "earshot:bot:bot") == 2
            link.publish_final("still mine")
            assert await link.flush(2) == 0
        assert await consumer.exists("earshot:lock:bot", "earshot:bot:bot") == 0


async def test_a_crashed_bots_lock_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot that died without releasing its lock does not lock its successor out."""
    monkeypatch.setattr(redis_lock, "LOCK_TTL_MS", 1200)
    async with server() as redis:
        crashed = RedisLink(redis.url, "bot", 1)
        await crashed.open()
        await crashed._client.aclose()
        await crashed._listener.close()
        async with running(RedisLink(redis.url, "bot", 1)) as link:
            link.publish_final("x")
            assert await link.flush(2) == 0


async def test_a_bot_whose_lock_was_taken_over_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two bots never write as one: the one that finds another's lock ends with `duplicate_bot`."""
    monkeypatch.setattr(redis_module, "RENEW_INTERVAL_S", 0.05)
    async with server() as redis, client(redis.url) as consumer:
        link = RedisLink(redis.url, "bot", 1)
        await link.open()
        await consumer.set("earshot:lock:bot", "somebody else")
        with pytest.raises(EarshotError) as caught:
            await asyncio.wait_for(link.run(), 3)
        await link.close()
        assert caught.value.code is SubCode.DUPLICATE_BOT
        assert await consumer.get("earshot:lock:bot") == "somebody else", "another's lock is not released"


async def test_heartbeat_says_who_lives_and_expires() -> None:
    """The heartbeat holds the ids and would be gone 30 s after a crash."""
    async with (
        server() as redis,
        client(redis.url) as consumer,
        running(RedisLink(redis.url, "bot", 7, platform="rehearsal")),
    ):
        value = None
        while value is None:
            value = await consumer.get("earshot:bot:bot")
        beat = parse_heartbeat(value)
        assert (beat.connection_id, beat.meeting_id, beat.platform) == ("bot", 7, "rehearsal")
        assert abs(time.time() - beat.at) < 5
        assert 25 <= await consumer.ttl("earshot:bot:bot") <= 30


async def test_status_events_in_order_and_bounded() -> None:
    """Status events arrive in order on a stream of their own that does not grow for ever."""
    async with server() as redis, client(redis.url) as consumer, running(RedisLink(redis.url, "bot", 1)) as link:
        for index in range(1500):
            link.status({"status": "active", "index": index})
        assert await link.flush(5) == 0
        stored = [json.loads(payload)["index"] for payload in await payloads(consumer, "earshot:status:bot")]
        assert stored[-1] == 1499
        assert stored == sorted(stored)
        assert 1000 <= len(stored) <= 1200


async def heard_by(subscription: Any) -> str | None:
    """The next message of a subscription."""
    message = await subscription.get_message(ignore_subscribe_messages=True, timeout=2)
    return None if message is None else message["data"]


async def test_live_messages_reach_those_who_watch() -> None:
    """Partials and finals go to the meeting's channel."""
    async with (
        server() as redis,
        client(redis.url) as consumer,
        running(RedisLink(redis.url, "bot", 7)) as link,
        consumer.pubsub() as subscription,
    ):
        await subscription.subscribe("tc:meeting:7:mutable")
        await subscription.get_message(timeout=2)
        link.publish_live("s1", "partial", final=False)
        assert await heard_by(subscription) == "partial"
        link.publish_live("s1", "final", final=True)
        assert await heard_by(subscription) == "final"


async def publish(consumer: Redis, channel: str, *messages: object) -> None:
    """Sends commands as a bot manager would."""
    for message in messages:
        await consumer.publish(channel, message if isinstance(message, str) else json.dumps(message))


async def test_commands_of_both_channels_are_heard_right_after_open() -> None:
    """A leave sent before the bot has joined is not missed; what a message says is for others to judge."""
    heard: list[str] = []
    async with server() as redis, client(redis.url) as consumer:
        link = RedisLink(redis.url, "bot", 7, on_command=heard.append)
        await link.open()
        await publish(consumer, "bot_commands:bot", "{not json", {"action": "leave"})
        await publish(consumer, "bot_commands:meeting:7", {"action": "reconfigure", "language": "de"})
        task = asyncio.create_task(link.run())
        await eventually(lambda: len(heard) == 3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await link.close()
    assert heard == ["{not json", '{"action": "leave"}', '{"action": "reconfigure", "language": "de"}']


async def test_commands_are_heard_again_after_redis_was_away() -> None:
    """The subscription comes back by itself."""
    heard: list[str] = []
    async with server() as redis:
        link = RedisLink(redis.url, "bot", 7, on_command=heard.append, random=lambda: 0.1)
        async with running(link):
            await redis.stop(kill=True)
            await asyncio.sleep(0.5)
            await redis.start()
            async with client(redis.url) as consumer:
                while await consumer.publish("bot_commands:bot", '{"action": "leave"}') == 0:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            await eventually(lambda: heard == ['{"action": "leave"}'])


async def test_closing_without_redis_is_quick() -> None:
    """At the end nobody waits for a Redis that is gone; what could not be stored is counted."""
    async with server() as redis:
        link = RedisLink(redis.url, "bot", 1)
        await link.open()
        task = asyncio.create_task(link.run())
        await redis.stop(kill=True)
        link.publish_final("lost")
        started = time.monotonic()
        assert await link.flush(0.5) == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await link.close()
        assert time.monotonic() - started <= 3


@pytest.mark.parametrize("which", [1, 2])
async def test_an_answer_that_is_lost_at_the_end_does_not_keep_the_lock(which: int) -> None:
    """Whichever of the last ones it is: the id is free for the next bot at once, not when the lock runs out."""
    answers = 0

    def is_lost(chunk: bytes) -> bool:
        nonlocal answers
        answers += 1
        return answers == which

    async with server() as redis, client(redis.url) as admin:
        async with TcpProxy("127.0.0.1", redis.port, is_lost) as proxy:
            link = RedisLink(f"redis://127.0.0.1:{proxy.port}", "bot", 1)
            answers = 1000
            await link.open()
            answers = 0
            await link.close()
        assert await admin.keys("earshot:lock:*") == []
