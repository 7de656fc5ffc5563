"""A Redis that is there and does not take what it is given: read-only, loading, forbidden, without room."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from bot.core import outbox
from bot.links.redis.link import STATUS_STREAM_ENTRIES, RedisLink
from bot.links.redis.spill import Spill
from rehearsal.embedded_redis import _free_port
from tests.support.servers.redis_server import client, payloads, running, server, version
from tests.support.waiting import eventually

pytestmark = [pytest.mark.redis, pytest.mark.timeout(60)]


async def test_a_read_only_redis_is_waited_for() -> None:
    """A primary that became a replica refuses every write; promoted again it gets all of it, in order."""
    changes: list[bool] = []
    sent = [f"final {index}" for index in range(20)]
    async with server() as redis, client(redis.url) as admin:
        link = RedisLink(redis.url, "bot", 1, on_change=lambda up, _: changes.append(up), random=lambda: 0.1)
        async with running(link):
            await admin.replicaof("127.0.0.1", str(_free_port()))
            for payload in sent:
                link.publish_final(payload)
            await eventually(lambda: changes == [False])
            await admin.replicaof("NO", "ONE")
            assert await link.flush(5) == 0
            await eventually(lambda: changes == [False, True])
        assert await payloads(admin) == sent


@pytest.mark.skipif(version() < 7, reason="redis-server 6 cannot be slowed down so that it answers while it loads")
async def test_a_redis_that_is_loading_is_waited_for() -> None:
    """It answers and has not its data yet: neither at the start nor in the middle is that an end, or a loss."""
    slow = ("--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
    async with server(append_only=True, options=slow) as redis:
        async with client(redis.url) as admin:
            await admin.eval("for i = 1, 1500 do redis.call('SET', i, i) end", 0)
            await admin.bgrewriteaof()
            async with asyncio.timeout(8):
                while (await admin.info("persistence"))["aof_rewrite_in_progress"]:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        await redis.stop(kill=True)
        starting = asyncio.create_task(redis.start())
        async with running(RedisLink(redis.url, "bot", 1, random=lambda: 0.1)) as link:
            link.publish_final("before")
            assert await link.flush(2) == 0
            await starting
            await redis.stop(kill=True)
            link.publish_final("while it loads")
            await redis.start()
            assert await link.flush(5) == 0
        async with client(redis.url) as consumer:
            assert await payloads(consumer) == ["before", "while it loads"]


async def test_partials_that_nobody_gets_hold_no_final_up_and_are_no_outage() -> None:
    """A user without the right to publish: finals are stored at once, and the link does not flap."""
    changes: list[bool] = []
    async with server() as redis, client(redis.url) as admin:
        await admin.execute_command("ACL", "SETUSER", "bot", "on", ">long-password", "~*", "&*", "+@all", "-publish")  # type: ignore[no-untyped-call]
        url = f"redis://bot:long-password@127.0.0.1:{redis.port}"
        link = RedisLink(url, "bot", 1, on_change=lambda up, _: changes.append(up), random=lambda: 0.0)
        async with running(link):
            for number in range(200):
                link.publish_live(f"s{number}", "partial", final=False)
                link.publish_final(str(number))
            assert await link.flush(2) == 0
            await asyncio.sleep(0.3)
        assert len(await payloads(admin)) == 200
    assert changes == []


async def test_one_stream_that_cannot_be_written_is_one_outage() -> None:
    """While finals are refused and all else works, it is down once, not down and up with each renewal of the lock."""
    changes: list[bool] = []
    async with server() as redis, client(redis.url) as admin:
        link = RedisLink(redis.url, "bot", 1, on_change=lambda up, _: changes.append(up), random=lambda: 0.05)
        async with running(link):
            await admin.set("transcription_segments", "somebody's")
            link.publish_final("x")
            await eventually(lambda: bool(changes))
            await asyncio.sleep(3.5)  # a renewal of the lock, and looks at the status stream
            assert changes == [False]
            await admin.delete("transcription_segments")
            assert await link.flush(5) == 0
            await eventually(lambda: changes == [False, True])


async def test_flapping_health_pushes_no_lifecycle_event_out() -> None:
    """The status stream is bounded, and its oldest events of health go first."""
    async with server() as redis, running(RedisLink(redis.url, "bot", 1)) as link, client(redis.url) as consumer:
        for status in ("joining", "awaiting_admission", "active"):
            link.status({"event": "status", "status": status})
        for number in range(3 * STATUS_STREAM_ENTRIES):
            link.status({"event": "health", "subject": "transcriber", "healthy": bool(number % 2), "number": number})
            if number == STATUS_STREAM_ENTRIES:
                link.status({"event": "status", "status": "needs_help"})
        assert await link.flush(10) == 0
        events = [json.loads(payload) for payload in await payloads(consumer, "earshot:status:bot")]
        lifecycle = [event["status"] for event in events if event["event"] == "status"]
        assert lifecycle == ["joining", "awaiting_admission", "active", "needs_help"]
        assert len(events) == STATUS_STREAM_ENTRIES
        assert events[-1]["number"] == 3 * STATUS_STREAM_ENTRIES - 1


async def test_health_that_flaps_through_an_outage_leaves_room_for_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis is away for long: what is left of the room for status events is for the lifecycle's."""
    monkeypatch.setattr(outbox.Outbox.__init__, "__kwdefaults__", {"max_entries": 20, "max_bytes": 10_000})
    async with server(append_only=True) as redis:
        async with running(RedisLink(redis.url, "bot", 1, random=lambda: 0.1)) as link:
            await redis.stop(kill=True)
            assert all(link.status({"event": "health", "number": number}) for number in range(100))
            assert link.status({"event": "status", "status": "failed"})
            await redis.start()
            assert await link.flush(5) == 0
        async with client(redis.url) as consumer:
            events = [json.loads(payload) for payload in await payloads(consumer, "earshot:status:bot")]
    assert (len(events), events[-1]["event"]) == (19, "status")


async def test_a_full_outbox_asks_to_hold_back_before_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Full is said once, while there is still room for what is on its way; then that there is room again."""
    monkeypatch.setattr(outbox.Outbox.__init__, "__kwdefaults__", {"max_entries": 20, "max_bytes": 10_000})
    said: list[tuple[bool, str]] = []
    async with server(append_only=True) as redis:
        link = RedisLink(redis.url, "bot", 1, on_full=lambda full, why: said.append((full, why)), random=lambda: 0.1)
        async with running(link):
            await redis.stop(kill=True)
            taken = [(link.publish_final(str(number)), link.is_full) for number in range(21)]
            assert taken == [(True, False)] * 17 + [(True, True)] * 3 + [(False, True)]
            await redis.start()
            assert await link.flush(5) == 0
            assert not link.is_full
        async with client(redis.url) as consumer:
            assert await payloads(consumer) == [str(number) for number in range(20)]
    assert [full for full, _ in said] == [True, False]
    assert "redis.spillDir" in said[0][1]


async def test_a_spill_file_that_is_full_holds_back_until_it_is_empty(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither memory nor the file has room: said once, and over as soon as Redis has taken it all."""
    monkeypatch.setattr(outbox.Outbox.__init__, "__kwdefaults__", {"max_entries": 20, "max_bytes": 10_000})
    monkeypatch.setattr(Spill.__init__, "__defaults__", (100,))
    said: list[bool] = []
    async with server(append_only=True) as redis:
        link = RedisLink(
            redis.url, "bot", 1, spill_dir=str(tmp_path), on_full=lambda full, _: said.append(full), random=lambda: 0.1
        )
        async with running(link):
            await redis.stop(kill=True)
            taken = [link.publish_final(str(number)) for number in range(40)]
            assert 18 < sum(taken) < 30
            assert link.is_full
            await redis.start()
            assert await link.flush(5) == 0
            await eventually(lambda: not link.is_full)
    assert said == [True, False]


async def test_what_memory_has_no_room_for_goes_to_the_spill_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Everything is stored, once and in order, when Redis is back; the file has no name and leaves nothing behind."""
    monkeypatch.setattr(outbox.Outbox.__init__, "__kwdefaults__", {"max_entries": 20, "max_bytes": 10_000})
    sent = [f"{number} é" for number in range(500)]
    async with server(append_only=True) as redis:
        async with running(RedisLink(redis.url, "bot", 1, spill_dir=str(tmp_path), random=lambda: 0.1)) as link:
            await redis.stop(kill=True)
            assert all(link.publish_final(payload) for payload in sent)
            assert not link.is_full
            assert link.backlog[0] == 500
            assert os.listdir(tmp_path) == []
            await redis.start()
            await asyncio.sleep(0.2)
            sent.append("last")
            link.publish_final("last")
            assert await link.flush(8) == 0
        async with client(redis.url) as consumer:
            assert await payloads(consumer) == sent
