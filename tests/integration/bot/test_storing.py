"""The whole bot when Redis takes nothing, and when it is started again: no word is lost, and time goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from contextlib import suppress

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from bot.core import outbox
from bot.platforms.base import Listener
from common.contracts.keys import meeting_zero
from common.contracts.status import SubCode
from tests.integration.bot.test_endings import frozen_redis, thawed_at_the_end
from tests.integration.bot.test_runner import Stage, enter, one_utterance, speak, until_leave, world
from tests.support.waiting import eventually

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(60)]


async def test_without_room_for_finals_the_audio_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis frozen and the outbox full: the transcriber is sent nothing more, health says so, and no word is lost."""
    monkeypatch.setattr(outbox.Outbox.__init__, "__kwdefaults__", {"max_entries": 6, "max_bytes": 10**9})
    monkeypatch.setattr(outbox, "HEADROOM_SHARE", 0.5)
    async with world() as here:
        pids: list[int] = []

        async def talk(stage: Stage, listener: Listener) -> SubCode:
            enter(listener)
            await speak(listener)
            pids.append(await frozen_redis(here))
            for _ in range(7):
                await speak(listener)
            heard = -1
            while heard < len(here.transcriber.heard):
                heard = len(here.transcriber.heard)
                await asyncio.sleep(2)
            assert heard < 8
            os.kill(pids.pop(), signal.SIGCONT)
            await eventually(lambda: len(here.transcriber.heard) == 8, 30)
            return SubCode.MEETING_ENDED

        with thawed_at_the_end(pids):
            assert (await here.attend(talk)).code is SubCode.MEETING_ENDED
        finals = [payload for payload in await here.stream() if payload["type"] == "transcription"]
        assert len(finals) == 8
        events = [event for event in await here.status_events() if event.get("subject") == "outbox"]
        assert [event["healthy"] for event in events] == [False, True]


async def test_text_that_redis_has_lost_is_said_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """FLUSHALL takes finals that were stored too long ago to be sent again: health says so, and the end is not good."""
    monkeypatch.setattr(outbox, "MAX_STORED_ENTRIES", 0)
    async with world() as here:

        async def talk(stage: Stage, listener: Listener) -> SubCode:
            enter(listener)
            await speak(listener)
            while len(await here.stream()) < 2:  # noqa: ASYNC110 (session_start and a final)
                await asyncio.sleep(0.05)
            with structlog.testing.capture_logs() as lines:
                await here.redis.flushall()
                await eventually(lambda: any(line.get("subject") == "gap:redis" for line in lines), 10)
            return SubCode.MEETING_ENDED

        assert (await here.attend(talk)).code is SubCode.NOT_STORED
        events = await here.status_events()
        (said,) = [event for event in events if event.get("subject") == "gap:redis"]
        assert said["detail"].startswith("2 finals and session marks")
        assert events[-1]["not_stored"] == 2


async def test_a_bot_that_is_started_again_goes_on_in_meeting_time() -> None:
    """The same connectionId: its times and ids continue from the first start; both say when the meeting began."""
    async with world() as here:
        await here.attend(one_utterance)
        zero = float(await here.redis.get(meeting_zero("bot-1")) or 0)
        assert abs(time.time() - zero) < 60
        await here.redis.set(meeting_zero("bot-1"), zero - 1000)
        await here.attend(one_utterance)
        assert float(await here.redis.get(meeting_zero("bot-1")) or 0) == pytest.approx(zero - 1000)
        stream = await here.stream()
        first, second = [payload["segments"][0] for payload in stream if payload["type"] == "transcription"]
        assert 1000 < second["start"] - first["start"] < 1060
        assert first["segment_id"] != second["segment_id"]
        starts = [payload["start_timestamp"] for payload in stream if payload["type"] == "session_start"]
        assert starts[1] < starts[0]


@pytest.mark.parametrize("zero", ["99999999999", "nan", "yesterday"])
async def test_a_zero_that_cannot_be_is_now(zero: str) -> None:
    """In the future, since the clock was set back, or no time at all: no times below zero, and no end of the bot."""
    async with world() as here:
        await here.redis.set(meeting_zero("bot-1"), zero)
        await here.attend(one_utterance)
        final = next(payload for payload in await here.stream() if payload["type"] == "transcription")
        assert 0 <= final["segments"][0]["start"] < 60


async def test_the_stages_of_a_word_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """From speech to Redis: each stage has been observed once the final is stored; ready only after the neighbours."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("EARSHOT_HEALTH_PORT", str(port))

    async def ask(path: str) -> tuple[int, str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
        writer.close()
        return int(head.split()[1]), body

    async def act(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        await speak(listener)
        while len(await here.stream()) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        assert (await ask("/readyz"))[0] == 200
        counted: dict[str, float] = {}
        while counted.get("published", 0) < 2:  # it is counted when Redis has answered, a moment after it is there
            text = (await ask("/metrics"))[1]
            samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
            counted = {
                sample.labels["stage"]: sample.value for sample in samples if sample.name == "bot_stage_seconds_count"
            }
            await asyncio.sleep(0.02)
        assert counted["sent"] > 50  # 2 s in pieces of 32 ms
        assert counted["decided"] == 1
        assert counted["published"] == 2  # session_start and the final
        audio = next(sample.value for sample in samples if sample.name == "bot_audio_seconds_total")
        assert 2 < audio < 5
        return SubCode.MEETING_ENDED

    async with world() as here:
        here.transcriber.full = True
        looking = asyncio.create_task(here.attend(until_leave))
        async with asyncio.timeout(5):
            while True:
                with suppress(OSError):
                    assert [(await ask(path))[0] for path in ("/livez", "/readyz")] == [200, 503]
                    break
                await asyncio.sleep(0.01)
        await looking
        here.transcriber.full = False
        assert (await here.attend(act)).code is SubCode.MEETING_ENDED
