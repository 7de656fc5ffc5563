"""What stand-ins for each generation's collector and live client make of a scripted meeting, through a real Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, get_args

import pytest

from bot.config import BotConfig, load_config
from bot.links.redis.link import RedisLink
from bot.sinks import Sinks
from common.contracts.keys import SPEAKER_STREAM, live_channel
from common.contracts.segments import Segment
from common.contracts.times import iso_utc
from rehearsal.embedded_redis import EmbeddedRedis
from tests.support.fakes.kept import Kept
from tests.support.fakes.stand_in_consumers import NATIVE_ID, ROW_ID, USER_TOKEN, Line, StandInClient, StandInCollector
from tests.support.servers.redis_server import client, payloads, running
from tests.support.servers.stand_in_manager import Generation

pytestmark = [pytest.mark.redis, pytest.mark.slow]

CALLBACKS: dict[Generation, dict[str, str]] = {
    "v0.6": {"botManagerCallbackUrl": "http://127.0.0.1:1/exited"},
    "v0.10": {"meetingApiCallbackUrl": "http://127.0.0.1:1/exited"},
    "v0.12": {"meetingApiCallbackUrl": "http://127.0.0.1:1/lifecycle"},
}
SAID = [
    Line("Ana", "what is the status of the contract", 1.0, 3.0),
    Line("Ben", "i am working on it", 3.5, 5.0),
    Line("Ana", "when is it done", 6.0, 8.0),
    Line("Ben", "soon", 7.0, 7.5),  # over Ana's words
    Line("Ana Silva", "good", 9.0, 9.4),  # renamed
]


def config(redis: str, **more: Any) -> BotConfig:
    """As a manager would write it."""
    settings = {
        "platform": "rehearsal",
        "meetingUrl": "rehearsal:x",
        "redisUrl": redis,
        "whisperLiveUrl": "ws://127.0.0.1:1",
        "meeting_id": ROW_ID,
        "nativeMeetingId": NATIVE_ID,
        "connectionId": "bot-1",
        "container_name": "vexa-bot-42",
        "token": USER_TOKEN,
        **more,
    }
    loaded, warnings = load_config(json.dumps(settings), {}, in_container=False)
    assert warnings == []
    return loaded


def spoken(lines: Iterable[Line]) -> list[Segment]:
    """Drafts and finals in the order in which a transcriber gives them; one draft is taken back."""
    found = []
    for number, line in enumerate(lines):
        who = line.speaker.partition(" ")[0].lower()
        final = Segment(
            f"bot-1:{who}:{round(line.start * 1000)}", line.start, line.end, line.text, line.speaker, who,
            "en" if number else "tlh", True, iso_utc(line.start), iso_utc(line.end),
        )  # fmt: skip
        draft = replace(final, completed=False, text=line.text.split()[0], end=line.start + 0.2)
        found += [(line.start + 0.2, draft), (line.end + 0.3, final)]
    cough = Segment("bot-1:eve:5200", 5.2, 5.4, "You", "Eve", "eve", "en", False, iso_utc(5), iso_utc(5))
    found += [(5.4, cough), (5.6, replace(cough, text="", start=5.2, end=5.2))]
    return [segment for _, segment in sorted(found, key=lambda pair: pair[0])]


async def hold(redis: str, settings: BotConfig, watcher: StandInClient) -> None:
    """The meeting, reported as the bot reports it."""
    token = settings.token.get_secret_value() if settings.token else None
    async with client(redis) as watching, watching.pubsub() as pubsub:
        await pubsub.subscribe(live_channel(ROW_ID))
        await pubsub.get_message(timeout=1.0)
        async with running(RedisLink(redis, "bot-1", ROW_ID)) as link:
            sinks = Sinks(settings, token, link, lambda up, detail: None)
            tasks = [asyncio.create_task(sink.run()) for sink in sinks.served]
            sinks.reporting.session_start(0.0)
            for segment in spoken(SAID):
                sinks.reporting.segment(segment)
                message = await pubsub.get_message(timeout=2.0)
                assert message is not None
                watcher.take(message["data"])
            sinks.reporting.session_end()
            assert await sinks.reporting.flush(2.0) == 0
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await sinks.close(1.0)


@pytest.mark.parametrize("generation", get_args(Generation))
async def test_every_utterance_with_its_speaker_and_time(generation: Generation) -> None:
    """Nothing dropped, nothing stuck, also where two speak at once, somebody is renamed, or a language is odd."""
    collector, watcher = StandInCollector(generation), StandInClient()
    async with EmbeddedRedis() as url, client(url) as redis:
        await hold(url, config(url, **CALLBACKS[generation]), watcher)
        events: Any = await redis.xrange(SPEAKER_STREAM)
        for _, fields in events:
            collector.speaker(fields)
        stored = await payloads(redis)
    for payload in stored:
        collector.take(payload)
    assert (collector.dropped, collector.poisoned, collector.strays) == (0, 0, 0)
    assert collector.transcript() == SAID
    assert len(events) == (2 * (len(SAID) + 1) if generation == "v0.6" else 0)
    assert [USER_TOKEN in payload for payload in stored] == [generation == "v0.6"] * len(stored)
    assert sorted(watcher.rows.values()) == sorted(line.text for line in SAID)
    assert watcher.drafts_shown == len(SAID) + 1
    assert set(watcher.drafts) == {"ana", "ben", "eve"}
    assert not any(watcher.drafts.values()), "no draft is left"


async def test_without_a_manager_nobody_elses_dialect_is_spoken() -> None:
    """As docs/redis.md has it: the number, the token, no stream of speakers."""
    async with EmbeddedRedis() as url, client(url) as redis:
        await hold(url, config(url), StandInClient())
        first = json.loads((await payloads(redis))[0])
        assert (first["meeting_id"], first["token"]) == (ROW_ID, USER_TOKEN)
        assert not await redis.exists(SPEAKER_STREAM)


async def test_speaker_events_wait_for_a_redis_that_is_away() -> None:
    """In order, and what is still waiting at the end counts as not stored."""
    async with EmbeddedRedis() as embedded_url, client(embedded_url) as redis:
        settings = config(embedded_url, **CALLBACKS["v0.6"])
        link = RedisLink(embedded_url, "bot-1", ROW_ID)
        sinks = Sinks(settings, USER_TOKEN, link, lambda up, detail: None)
        assert sinks.speakers is not None
        await redis.set(SPEAKER_STREAM, "no stream")  # every try is refused
        task = asyncio.create_task(sinks.speakers.run())
        for segment in spoken(SAID[:1]):
            sinks.reporting.segment(segment)
        assert await sinks.speakers.flush(0.2) == 4
        await redis.delete(SPEAKER_STREAM)
        assert await sinks.speakers.flush(5.0) == 0
        entries: Any = await redis.xrange(SPEAKER_STREAM)
        assert [fields["event_type"][8:] for _, fields in entries] == ["START", "END", "START", "END"]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await sinks.close(1.0)
        await link.close()


async def test_speaker_events_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes, and the end says that it is missing."""
    monkeypatch.setattr("bot.links.redis.speaker_events.MAX_EVENTS", 3)
    nowhere = "redis://127.0.0.1:1"
    settings = config(nowhere, **CALLBACKS["v0.6"])
    sinks = Sinks(settings, USER_TOKEN, RedisLink(nowhere, "b", 1), lambda up, detail: None)
    assert sinks.speakers is not None
    for segment in spoken(SAID[:1]):
        sinks.reporting.segment(segment)
    assert await sinks.speakers.flush(0.0) == 4
    await sinks.close(1.0)


async def test_who_needs_no_redis_hears_of_a_redis_that_was_never_ours() -> None:
    """The manager, and whatever else reports go to; nobody who would write there."""
    nowhere = "redis://127.0.0.1:1"
    link, other = RedisLink(nowhere, "b", 1), Kept()
    sinks = Sinks(config(nowhere, **CALLBACKS["v0.6"]), USER_TOKEN, link, lambda up, detail: None)
    sinks.reporting.sinks = [*sinks.reporting.sinks, other]
    sinks.without_redis()
    assert sinks.reporting.sinks == [sinks.manager, other]
    await sinks.close(1.0)
    await link.close()
