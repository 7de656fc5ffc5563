"""One bot with real Redis, a scripted transcriber and a scripted platform: start, text, faults, every way to end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis

from bot.audio.frame import AudioFrame
from bot.config import BotConfig, load_config
from bot.core import effects as fx
from bot.core import events as ev
from bot.platforms.base import Invitation, Listener, Platform
from bot.platforms.orders import Orders
from bot.runner import Bot
from common.contracts.status import MEANINGS, SubCode
from common.errors import EarshotError
from rehearsal.clips import load_clip
from rehearsal.embedded_redis import EmbeddedRedis
from tests.support.fakes.scripted_transcriber import ScriptedTranscriber, scripted_transcriber
from tests.support.servers.redis_server import client, payloads
from tests.support.waiting import eventually

pytestmark = [pytest.mark.redis, pytest.mark.slow]

Act = Callable[["Stage", Listener], Awaitable[SubCode]]
SPEECH = load_clip("ana1", Path())


@dataclass
class Stage(Platform):
    """A scripted platform: what happens in the meeting is a coroutine."""

    act: Act
    left: asyncio.Event = field(default_factory=asyncio.Event)
    leave: asyncio.Event = field(default_factory=asyncio.Event)
    attended: bool = False

    def claims(self, url: str) -> bool:
        """Never asked here."""
        return False

    async def attend(self, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
        """Plays the script."""
        self.leave, self.attended = orders.leaving, True
        try:
            return await self.act(self, listener)
        finally:
            self.left.set()


def config(redis: str, transcriber: str, **more: Any) -> BotConfig:
    """A configuration that passes the checks."""
    settings = {
        "platform": "rehearsal",
        "meetingUrl": "rehearsal+ws://127.0.0.1:1",
        "redisUrl": redis,
        "whisperLiveUrl": transcriber,
        "meeting_id": "m1",
        "connectionId": "bot-1",
        "token": "opaque",
        **more,
    }
    return load_config(json.dumps(settings), {})[0]


@dataclass
class World:
    """Redis and a transcriber."""

    redis: Redis
    redis_url: str
    transcriber: ScriptedTranscriber

    async def attend(
        self,
        act: Act,
        meanwhile: Callable[[Bot], Awaitable[None]] | None = None,
        stage: Stage | None = None,
        **more: Any,
    ) -> fx.Finish:
        """Runs one bot; `meanwhile` gets it once it has begun."""
        more = {"whisperLiveUrl": self.transcriber.url} | more
        bot = Bot(config(self.redis_url, more.pop("whisperLiveUrl"), **more), stage or Stage(act))
        if meanwhile is None:
            return await bot.attend()
        running = asyncio.create_task(bot.attend())
        await meanwhile(bot)
        return await running

    async def stream(self) -> list[dict[str, Any]]:
        """The payloads of the segment stream."""
        return [json.loads(payload) for payload in await payloads(self.redis)]

    async def statuses(self) -> list[tuple[str, str | None]]:
        """The lifecycle as consumers see it: (status, code)."""
        events = await self.status_events()
        return [(event["status"], event.get("code")) for event in events if event["event"] == "status"]

    async def status_events(self) -> list[dict[str, Any]]:
        """Everything on the status stream."""
        return [json.loads(payload) for payload in await payloads(self.redis, "earshot:status:bot-1")]


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """Both neighbours, for one test."""
    transcriber = ScriptedTranscriber()
    async with EmbeddedRedis() as url, scripted_transcriber(transcriber), client(url) as redis:
        yield World(redis, url, transcriber)


async def speak(listener: Listener, track: str = "t1") -> None:
    """Plays a clip of real speech and a second of quiet, 20 times faster than life."""
    speech = SPEECH.pcm[::3].astype(np.int16)  # 48 kHz → 16 kHz; good enough for a speech detector
    pcm = np.concatenate([speech, np.full(16_000, 3, np.int16)])
    arrival = asyncio.get_running_loop().time()
    for start in range(0, len(pcm), 320):
        listener.audio(AudioFrame(track, pcm[start : start + 320], start, 1, arrival + start / 16_000))
        await asyncio.sleep(0.001)


def enter(listener: Listener) -> None:
    """The bot is let in, and Ana is there."""
    listener.event(ev.Admitted())
    listener.event(ev.ParticipantJoined("ana", "Ana"))
    listener.event(ev.TrackOpened("t1", "ana"))


async def one_utterance(stage: Stage, listener: Listener) -> SubCode:
    """Ana says something and the meeting ends."""
    enter(listener)
    await speak(listener)
    return SubCode.MEETING_ENDED


async def until_leave(stage: Stage, listener: Listener) -> SubCode:
    """Ana is there and says nothing until the bot leaves."""
    enter(listener)
    await stage.leave.wait()
    return SubCode.LEFT_BY_COMMAND


async def test_speech_becomes_segments_between_session_marks() -> None:
    """session_start, one final with its speaker and both clocks, session_end; the lifecycle; the lock is free again."""
    async with world() as here:
        before = time.time()
        finish = await here.attend(one_utterance)
        assert finish.code is SubCode.MEETING_ENDED
        start, final, end = await here.stream()
        assert (start["type"], end["type"], start["uid"], start["token"]) == (
            "session_start",
            "session_end",
            "bot-1",
            "opaque",
        )
        segment = final["segments"][0]
        assert (segment["speaker"], segment["speaker_id"], segment["completed"]) == ("Ana", "ana", True)
        assert segment["segment_id"] == f"bot-1:ana:{round(segment['start'] * 1000)}"
        assert 0 <= segment["start"] < segment["end"] < 10
        assert segment["absolute_start_time"] >= time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(before))
        assert await here.statuses() == [
            ("joining", None),
            ("awaiting_admission", None),
            ("active", None),
            ("completed", "meeting_ended"),
        ]
        assert await here.redis.keys("earshot:lock:*") == []
        assert await here.redis.keys("earshot:bot:*") == []


async def test_sigterm_in_mid_utterance_leaves_flushes_and_says_why() -> None:
    """The open utterance is finished, stored and announced before the bot ends; in under five seconds."""

    async def talk_on(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        pcm = SPEECH.pcm[::3].astype(np.int16)
        arrival = asyncio.get_running_loop().time()
        for start in range(0, len(pcm) // 2, 320):
            listener.audio(AudioFrame("t1", pcm[start : start + 320], start, 1, arrival + start / 16_000))
        await stage.leave.wait()
        return SubCode.LEFT_BY_COMMAND

    async with world() as here:

        async def stop(bot: Bot) -> None:
            await eventually(lambda: bool(here.transcriber.heard))
            bot.stop(SubCode.TERMINATED)
            bot.stop(SubCode.INTERRUPTED)

        started = time.monotonic()
        finish = await here.attend(talk_on, stop)
        assert time.monotonic() - started < 5
        assert finish.code is SubCode.TERMINATED
        assert [payload["type"] for payload in await here.stream()] == ["session_start", "transcription", "session_end"]
        assert (await here.statuses())[-1] == ("completed", "terminated")


async def test_a_platform_that_will_not_leave_is_cut_off() -> None:
    """Leaving has a deadline: a hanging adapter is cancelled and the bot still ends in time."""

    async def deaf_to_leave(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        await asyncio.sleep(60)
        return SubCode.LEFT_BY_COMMAND

    async with world() as here:

        async def stop(bot: Bot) -> None:
            await asyncio.sleep(0.3)
            bot.stop(SubCode.TERMINATED)

        started = time.monotonic()
        assert (await here.attend(deaf_to_leave, stop)).code is SubCode.TERMINATED
        assert time.monotonic() - started < 5


async def test_a_transcriber_that_went_away_cannot_hold_up_the_end() -> None:
    """What nobody decides is given up at the deadline, and the session end and the status are stored all the same."""
    async with world() as here:
        here.transcriber.answers = False
        started = time.monotonic()
        finish = await here.attend(one_utterance)
        assert time.monotonic() - started < 8
        assert finish.code is SubCode.MEETING_ENDED
        assert [payload["type"] for payload in await here.stream()] == ["session_start", "session_end"]
        assert (await here.statuses())[-1] == ("completed", "meeting_ended")


@pytest.mark.parametrize("channel", ["bot_commands:bot-1", "bot_commands:meeting:m1"])
async def test_a_leave_command_on_either_channel(channel: str) -> None:
    """Heard from the first moment on, also in the lobby."""

    async def lobby(stage: Stage, listener: Listener) -> SubCode:
        listener.event(ev.LobbyEntered())
        await stage.leave.wait()
        return SubCode.LEFT_BY_COMMAND

    async with world() as here:

        async def command(bot: Bot) -> None:
            async with asyncio.timeout(5):
                while not await here.redis.publish(channel, '{"action": "leave"}'):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)

        finish = await here.attend(lobby, command)
        assert finish.code is SubCode.LEFT_BY_COMMAND
        assert await here.stream() == []
        assert (await here.statuses())[-1] == ("completed", "left_by_command")


async def test_the_transcriber_is_told_which_languages_to_choose_from() -> None:
    """The configuration's allow-list is in every handshake."""
    async with world() as here:
        await here.attend(one_utterance, allowedLanguages=["pt", "en"])
        asked = [opened.handshake for opened in here.transcriber.handshakes]
        assert [(hello.language, hello.allowed_languages) for hello in asked] == [(None, frozenset({"pt", "en"}))] * 2


@pytest.mark.parametrize("code", [SubCode.JOIN_REFUSED, SubCode.ROOM_UNREACHABLE, SubCode.CONNECTION_LOST])
async def test_what_the_platform_says_is_what_the_bot_ends_with(code: SubCode) -> None:
    """Failures of the platform keep their code and words."""

    async def fails(stage: Stage, listener: Listener) -> SubCode:
        raise EarshotError(code, "because of this")

    async with world() as here:
        assert await here.attend(fails) == fx.Finish(code, "because of this")
        assert (await here.statuses())[-1] == ("failed", code)


async def test_a_bug_in_a_platform_is_an_internal_error() -> None:
    """An unexpected exception ends the bot with exit code 1 and a terminal status, never silently."""

    async def bug(stage: Stage, listener: Listener) -> SubCode:
        raise ZeroDivisionError

    async with world() as here:
        assert (await here.attend(bug)).code is SubCode.INTERNAL_ERROR
        assert (await here.statuses())[-1] == ("failed", "internal_error")


async def test_deafness_is_on_the_status_stream() -> None:
    """A participant who sends digital zeros is reported within ten seconds, and the room with him."""

    async def zeros(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        arrival = asyncio.get_running_loop().time()
        for start in range(0, 16_000 * 9, 1600):
            listener.audio(AudioFrame("t1", np.zeros(1600, np.int16), start, 1, arrival + start / 16_000))
            await asyncio.sleep(0.1)
        return SubCode.MEETING_ENDED

    async with world() as here:
        await here.attend(zeros)
        events = await here.status_events()
        health = [(event["subject"], event["healthy"]) for event in events if event["event"] == "health"]
        assert health == [("track:t1", False), ("room", False)]


async def test_neighbours_that_are_not_there_are_both_named() -> None:
    """Nothing is joined, exit code 3 within ten seconds, with both addresses and both settings."""
    bot = Bot(config("redis://127.0.0.1:1", "ws://127.0.0.1:2"), Stage(one_utterance))
    async with asyncio.timeout(10):
        finish = await bot.attend()
    assert MEANINGS[finish.code].exit_code == 3
    assert all(word in finish.detail for word in ("127.0.0.1:1", "ws://127.0.0.1:2", "redisUrl", "whisperLiveUrl"))


async def test_a_start_that_fails_is_on_the_status_stream() -> None:
    """Without a transcriber nothing is joined, and whoever watches the bot in Redis reads why."""
    async with world() as here:
        bot = Bot(config(here.redis_url, "ws://127.0.0.1:2"), Stage(one_utterance))
        assert (await bot.attend()).code is SubCode.TRANSCRIBER_UNREACHABLE
        assert await here.statuses() == [("failed", "transcriber_unreachable")]
        assert await here.stream() == []
        assert await here.redis.keys("earshot:lock:*") == []


async def test_sigterm_before_joining_ends_at_once() -> None:
    """While Redis is being looked for, a stop needs no patience."""
    bot = Bot(config("redis://127.0.0.1:1", "ws://127.0.0.1:2"), Stage(one_utterance))
    running = asyncio.create_task(bot.attend())
    await asyncio.sleep(0.1)
    bot.stop(SubCode.TERMINATED)
    async with asyncio.timeout(1):
        assert (await running).code is SubCode.TERMINATED


@pytest.fixture
def health_port(monkeypatch: pytest.MonkeyPatch) -> int:
    """Where the bot of this test answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    monkeypatch.setenv("EARSHOT_HEALTH_PORT", str(port))
    return port


async def ask(port: int) -> dict[str, Any]:
    """What `/health` says."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /health HTTP/1.1\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 200 OK")
    said: dict[str, Any] = json.loads(body)
    return said


async def test_a_neighbour_that_has_not_answered_is_not_connected(health_port: int) -> None:
    """While Redis is there and the transcriber loads, `links` says so; a bot without transcriber has no such link."""
    said: list[dict[str, Any]] = []

    async def look(bot: Bot) -> None:
        async with asyncio.timeout(10):
            while not said or not said[-1]["links"]["redis"]:
                await asyncio.sleep(0.05)
                with contextlib.suppress(ConnectionRefusedError):
                    said.append(await ask(health_port))
        bot.stop(SubCode.TERMINATED)

    async with world() as here:
        await here.attend(one_utterance, look, whisperLiveUrl="ws://127.0.0.1:2")
        assert said[-1]["links"] == {"redis": True, "transcriber": False}
        said.clear()
        await here.attend(one_utterance, look, whisperLiveUrl="ws://127.0.0.1:2", transcribeEnabled=False)
        assert said[-1]["links"] == {"redis": True}


async def test_it_answers_health_checks_while_it_attends(health_port: int) -> None:
    """Status, links and the age of the audio over HTTP; nobody listens there any more after the end."""
    said: list[dict[str, Any]] = []

    async def listen_and_ask(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        await speak(listener)
        said.append(await ask(health_port))
        return SubCode.MEETING_ENDED

    async with world() as here:
        await here.attend(listen_and_ask)
    assert said[0]["status"] == "active"
    assert said[0]["links"] == {"redis": True, "transcriber": True}
    assert 0 <= said[0]["seconds_since_audio"] < 5
    assert said[0]["hearing"] == "ok"
    counted = said[0]["tracks"]["t1"]
    assert counted["decoded"] >= counted["gated"] >= counted["sent"] > 0
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", health_port)


async def test_a_platform_is_prepared_in_a_thread_before_it_attends() -> None:
    """What it imports may take half a second, in which heartbeat, signals and health go on."""

    class Prepared(Stage):
        by: threading.Thread | None = None

        def prepare(self) -> None:
            assert not self.attended
            self.by = threading.current_thread()

    stage = Prepared(one_utterance)
    async with world() as here:
        await here.attend(one_utterance, stage=stage)
    assert stage.attended
    assert stage.by not in (None, threading.main_thread())
