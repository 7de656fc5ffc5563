"""Whole bots beside stand-in managers: what the manager and the collector have at the end, whatever the end was."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, get_args

import pytest
from structlog.testing import capture_logs

from bot.core import effects as fx
from bot.core import events as ev
from bot.core.callback_plan import Step
from bot.links.callbacks import CallbackLink
from bot.platforms.base import Listener
from bot.runner import Bot
from common.contracts.status import SubCode
from common.errors import EarshotError
from tests.integration.bot.test_endings import frozen_redis, thawed_at_the_end
from tests.integration.bot.test_runner import Stage, World, enter, one_utterance, speak, until_leave, world
from tests.support.fakes.scripted_transcriber import ScriptedTranscriber, scripted_transcriber
from tests.support.fakes.stand_in_consumers import NATIVE_ID, ROW_ID, USER_TOKEN, StandInCollector
from tests.support.servers.redis_server import payloads
from tests.support.servers.stand_in_manager import Fault, Generation, StandInManager, served
from tests.support.waiting import eventually

pytestmark = [pytest.mark.redis, pytest.mark.slow]

GENERATIONS = get_args(Generation)


def settings(manager: StandInManager) -> dict[str, Any]:
    """What this manager writes into a bot's configuration."""
    return {
        **manager.settings,
        "meeting_id": ROW_ID,
        "nativeMeetingId": NATIVE_ID,
        "container_name": "vexa-bot-42",
        "token": USER_TOKEN,
        "internalSecret": "canary-secret",
    }


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_a_meeting_is_in_the_table_and_in_the_transcript(generation: Generation) -> None:
    """All of it is stored, `session_end` too, when the manager hears of the end; the collector has what was said."""
    async with world() as here, served(StandInManager(generation)) as manager:
        stored: list[str] = []

        async def look() -> None:
            stored.extend(await payloads(here.redis))

        manager.on_end = look
        assert (await here.attend(one_utterance, **settings(manager))).code is SubCode.MEETING_ENDED
        assert manager.row.moves == ["joining", "awaiting_admission", "active", "completed"]
        assert manager.row.completion_reason == "stopped"
        assert [json.loads(payload)["type"] for payload in stored] == ["session_start", "transcription", "session_end"]
        collector = StandInCollector(generation)
        events: Any = await here.redis.xrange("speaker_events_relative")
        for _, fields in events:
            collector.speaker(fields)
        for payload in stored:
            collector.take(payload)
        assert [line.speaker for line in collector.transcript()] == ["Ana"]


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("way", ["leave", "sigterm", "crash", "refused", "lobby"])
async def test_each_way_to_end_is_one_end(generation: Generation, way: str) -> None:
    """A command, a signal, a bug, a host who says no, a command in the lobby: one row, ended once, in time."""

    async def act(stage: Stage, listener: Listener) -> SubCode:
        if way == "refused":
            raise EarshotError(SubCode.JOIN_REFUSED, "the host said no")
        if way == "lobby":
            listener.event(ev.LobbyEntered())
        else:
            enter(listener)
        if way == "crash":
            await asyncio.sleep(0.1)
            raise ZeroDivisionError
        await stage.leave.wait()
        return SubCode.LEFT_BY_COMMAND

    async with world() as here, served(StandInManager(generation)) as manager:
        stage = Stage(act)

        async def stop(bot: Bot) -> None:
            await eventually(lambda: stage.attended)
            if way in ("leave", "lobby"):
                await here.redis.publish("bot_commands:bot-1", '{"action": "leave"}')
            elif way == "sigterm":
                bot.stop(SubCode.TERMINATED)

        started = time.monotonic()
        await here.attend(act, stop, stage, **settings(manager))
        assert time.monotonic() - started < 6
        ends = [move for move in manager.row.moves if move in ("completed", "failed")]
        expected = {
            "leave": ["completed"],
            "sigterm": ["completed"],
            "crash": ["failed"],
            "refused": ["failed"],
            "lobby": ["failed" if generation == "v0.12" else "completed"],
        }
        assert ends == expected[way]
        assert {request.answered for request in manager.received} == {200}
        if way == "lobby" and generation == "v0.12":
            assert (manager.row.completion_reason, manager.row.failure_stage) == ("stopped", "awaiting_admission")
        if way == "refused" and generation != "v0.6":
            assert manager.row.completion_reason == "awaiting_admission_rejected"


@pytest.mark.parametrize("fault", ["silent", "redirect", "500", "lost"])
async def test_whatever_the_manager_does_at_the_end_the_bot_ends_in_time(fault: Fault) -> None:
    """And as it would have without one: what is stored is what counts, and the status stream says the end once."""
    async with world() as here, served(StandInManager("v0.12")) as manager:
        stage = Stage(until_leave)

        async def stop(bot: Bot) -> None:
            await eventually(lambda: manager.row.status == "active")
            manager.always = fault
            bot.stop(SubCode.TERMINATED)

        started = time.monotonic()
        finish = await here.attend(until_leave, stop, stage, **settings(manager))
        assert finish.code is SubCode.TERMINATED
        assert time.monotonic() - started < 8
        statuses = [status for status, code in await here.statuses() if code]
        assert statuses == ["completed"]
        assert [payload["type"] for payload in await here.stream()] == ["session_start", "session_end"]


async def test_a_manager_that_went_away_in_the_meeting_is_said_and_changes_nothing() -> None:
    """Its container is gone: a health event, the meeting goes on, exit 0."""
    manager = StandInManager("v0.12")

    async def act(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        await speak(listener)
        return SubCode.MEETING_ENDED

    async with world() as here:
        stage = Stage(act)
        async with served(manager):
            bot = asyncio.create_task(here.attend(act, stage=stage, **settings(manager)))
            await eventually(lambda: stage.attended)
        assert (await bot).code is SubCode.MEETING_ENDED
        assert [payload["type"] for payload in await here.stream()] == ["session_start", "transcription", "session_end"]


async def test_a_manager_that_is_not_there_at_the_start_is_exit_3() -> None:
    """Nothing is joined, and the status stream says which URL."""
    manager = StandInManager("v0.6")
    async with served(manager):
        pass
    async with world() as here:
        stage = Stage(until_leave)
        finish = await here.attend(until_leave, stage=stage, **settings(manager))
        assert finish.code is SubCode.CALLBACK_UNREACHABLE
        assert not stage.attended
        assert (await here.statuses())[-1] == ("failed", "callback_unreachable")


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_a_start_without_redis_is_told_to_the_manager(generation: Generation) -> None:
    """The status stream cannot be written: the callback is all that is left."""
    transcriber = ScriptedTranscriber()
    async with scripted_transcriber(transcriber), served(StandInManager(generation)) as manager:
        here = World(None, "redis://127.0.0.1:1", transcriber)  # type: ignore[arg-type]
        finish = await here.attend(until_leave, **settings(manager))
        assert finish.code is SubCode.REDIS_UNREACHABLE
        assert manager.row.moves == (["joining", "failed"] if generation == "v0.12" else ["failed"])
        value = manager.received[-1].value
        assert (value["exit_code"], value["reason"], value["failure_stage"]) == (3, "redis_unreachable", "joining")


async def test_a_duplicate_says_nothing_under_the_name_of_the_bot_that_runs() -> None:
    """Its manager would take the running one for ended."""
    async with world() as here, served(StandInManager("v0.10")) as manager:

        async def renew() -> None:
            while True:
                await here.redis.set("earshot:lock:bot-1", "the other one", px=60_000)
                await asyncio.sleep(0.1)

        await here.redis.set("earshot:lock:bot-1", "the other one", px=60_000)
        renewing = asyncio.create_task(renew())
        finish = await here.attend(until_leave, **settings(manager))
        renewing.cancel()
        await asyncio.wait([renewing])
        assert finish.code is SubCode.DUPLICATE_BOT
        assert manager.received == []


async def test_redis_that_freezes_does_not_keep_the_end_from_the_manager() -> None:
    """What could not be stored is in what it is told: `not_stored`, within the deadline."""
    async with world() as here, served(StandInManager("v0.10")) as manager:
        pids: list[int] = []

        async def freeze(bot: Bot) -> None:
            await eventually(lambda: manager.row.status == "active")
            pids.append(await frozen_redis(here))
            bot.stop(SubCode.TERMINATED)

        with thawed_at_the_end(pids):
            started = time.monotonic()
            finish = await here.attend(until_leave, freeze, **settings(manager))
            assert finish.code is SubCode.NOT_STORED
            assert time.monotonic() - started < 7
            assert manager.row.status == "failed"
            assert manager.received[-1].value["reason"] == "not_stored"
            assert manager.received[-1].value["error_details"]["not_stored"] > 0


async def test_a_bug_in_what_tells_a_manager_ends_no_meeting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its task breaks at the first status: the log says so once, all is stored, and the end is told all the same."""
    tell = CallbackLink._tell

    async def breaks(link: CallbackLink, step: Step, deadline: float | None) -> None:
        if deadline is None:
            raise ZeroDivisionError
        await tell(link, step, deadline)

    monkeypatch.setattr(CallbackLink, "_tell", breaks)
    async with world() as here, served(StandInManager("v0.12")) as manager:
        with capture_logs() as logged:
            finish = await here.attend(one_utterance, **settings(manager))
        assert finish == fx.Finish(SubCode.MEETING_ENDED)
        assert manager.row.moves[-1] == "completed"
        assert [payload["type"] for payload in await here.stream()] == ["session_start", "transcription", "session_end"]
    failures = [(line["sink"], line["step"]) for line in logged if line["event"] == "sink.failed"]
    assert failures == [("CallbackLink", "run")]


async def test_a_bot_that_may_not_transcribe_reports_and_sends_no_audio() -> None:
    """`transcribeEnabled: false` is an order: no transcriber is named, none is asked, the track is still measured."""
    heard: list[float] = []

    async def act(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        await speak(listener)
        return SubCode.MEETING_ENDED

    async with world() as here, served(StandInManager("v0.12")) as manager:

        async def watch(bot: Bot) -> None:
            hear = bot.heard

            def measured(report: ev.AudioHeard) -> None:
                heard.append(report.level_dbfs)
                hear(report)

            bot.heard = measured  # type: ignore[method-assign]

        finish = await here.attend(act, watch, transcribeEnabled=False, whisperLiveUrl=None, **settings(manager))
        assert finish.code is SubCode.MEETING_ENDED
        assert here.transcriber.connections == 0
        assert [payload["type"] for payload in await here.stream()] == ["session_start", "session_end"]
        assert max(heard) > -60
        assert manager.row.status == "completed"
