"""The one way in which every bot ends: crashes, lost locks, cancellations from within, and neighbours that freeze."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import pytest
import structlog

from bot.core import effects as fx
from bot.core.segments import SegmentTracker
from bot.links.redis.link import RedisLink
from bot.platforms.base import Listener
from bot.reporting import Reporting
from bot.runner import Bot
from common.contracts.status import SubCode
from common.errors import EarshotError
from tests.integration.bot.test_runner import Stage, World, config, enter, one_utterance, speak, until_leave, world
from tests.support.waiting import eventually

pytestmark = [pytest.mark.redis, pytest.mark.slow]


async def frozen_redis(here: World) -> int:
    """Stops redis-server as a stalled disk would; returns its pid."""
    pid = int((await here.redis.info("server"))["process_id"])
    os.kill(pid, signal.SIGSTOP)
    return pid


@contextmanager
def thawed_at_the_end(pids: list[int]) -> Iterator[None]:
    """Lets stopped processes go on, so that they can be ended."""
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def broken(*_: object) -> None:
    """A bug of ours."""
    raise ZeroDivisionError


async def test_a_crash_of_a_lane_still_flushes_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug where text comes back: finals, session_end, `failed`, exit code 1."""
    async with world() as here:

        async def speak_twice(stage: Stage, listener: Listener) -> SubCode:
            enter(listener)
            await speak(listener)
            while len(await here.stream()) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            monkeypatch.setattr(SegmentTracker, "update", broken)
            await speak(listener)
            await stage.leave.wait()
            return SubCode.LEFT_BY_COMMAND

        started = time.monotonic()
        finish = await here.attend(speak_twice)
        assert finish.code is SubCode.INTERNAL_ERROR
        assert time.monotonic() - started < 12
        assert [payload["type"] for payload in await here.stream()] == ["session_start", "transcription", "session_end"]
        assert (await here.statuses())[-1] == ("failed", "internal_error")
        assert await here.redis.keys("earshot:lock:*") == []


async def test_losing_the_lock_ends_as_a_duplicate_bot() -> None:
    """Another bot took over while Redis had forgotten us: exit code 4, its entries untouched, the platform left."""
    async with world() as here:
        stage = Stage(until_leave)

        async def steal(bot: Bot) -> None:
            await eventually(lambda: stage.attended)
            await here.redis.set("earshot:lock:bot-1", "somebody else", px=60_000)

        finish = await here.attend(until_leave, steal, stage=stage)
        assert finish.code is SubCode.DUPLICATE_BOT
        assert "connectionId" in finish.detail
        assert stage.left.is_set()
        assert await here.redis.get("earshot:lock:bot-1") == "somebody else"
        assert "session_end" not in [payload["type"] for payload in await here.stream()]


async def test_a_bot_that_was_taken_over_between_two_looks_at_its_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its successor has the numbers that it would give: what it heard is refused, not lost in silence; exit code 4."""
    monkeypatch.setattr("bot.links.redis.link.RENEW_INTERVAL_S", 60.0)
    async with world() as here:
        successor = RedisLink(here.redis_url, "bot-1", "m1")

        async def act(stage: Stage, listener: Listener) -> SubCode:
            enter(listener)
            await asyncio.sleep(0.2)  # `session_start` is stored
            await here.redis.delete("earshot:lock:bot-1")
            await successor.open()
            await speak(listener)
            return SubCode.MEETING_ENDED

        assert (await here.attend(act)).code is SubCode.DUPLICATE_BOT
        assert [payload["type"] for payload in await here.stream()] == ["session_start"]
        assert "completed" not in [status for status, _ in await here.statuses()]
        await successor.close()


async def test_a_timeout_of_a_platforms_library_is_no_order_to_leave() -> None:
    """TimeoutError out of an adapter is its failure; taken for our own deadline it would be exit code 0."""

    async def times_out(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        async with asyncio.timeout(0.1):
            await asyncio.sleep(10)
        return SubCode.MEETING_ENDED

    async with world() as here:
        assert (await here.attend(times_out)).code is SubCode.INTERNAL_ERROR
        assert (await here.statuses())[-1] == ("failed", "internal_error")


async def test_a_cancellation_from_inside_a_platform_ends_the_bot() -> None:
    """A library that cancels our coroutine must not leave an active bot without a meeting."""

    async def cancels_itself(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        await asyncio.sleep(0.05)
        raise asyncio.CancelledError

    async with world() as here, asyncio.timeout(10):
        assert (await here.attend(cancels_itself)).code is SubCode.INTERNAL_ERROR
        assert (await here.statuses())[-1] == ("failed", "internal_error")


async def test_a_platform_that_will_not_be_cancelled_cannot_hold_up_the_end() -> None:
    """An adapter that swallows its cancellation is left behind: everything else is stored, in time."""
    async with world() as here:
        freed = asyncio.Event()

        async def stubborn(stage: Stage, listener: Listener) -> SubCode:
            enter(listener)
            while not freed.is_set():
                try:
                    await freed.wait()
                except asyncio.CancelledError:
                    continue
            return SubCode.LEFT_BY_COMMAND

        async def stop(bot: Bot) -> None:
            await asyncio.sleep(0.3)
            bot.stop(SubCode.TERMINATED)

        started = time.monotonic()
        finish = await here.attend(stubborn, stop)
        assert time.monotonic() - started < 5.3
        assert finish.code is SubCode.TERMINATED
        assert (await here.statuses())[-1] == ("completed", "terminated")
        freed.set()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("frozen", ["transcriber", "redis", "both"])
async def test_sigterm_with_frozen_neighbours(frozen: str) -> None:
    """Whoever is frozen: over in less than 4.6 s, and never a clean end when something is not stored."""
    async with world() as here:
        pids: list[int] = []
        with thawed_at_the_end(pids):

            async def stop(bot: Bot) -> None:
                await eventually(lambda: bool(here.transcriber.heard))
                if frozen != "redis":
                    here.transcriber.freeze()
                if frozen != "transcriber":
                    pids.append(await frozen_redis(here))
                    await asyncio.sleep(0.3)
                stopped.append(time.monotonic())
                bot.stop(SubCode.TERMINATED)

            async def talk_on(stage: Stage, listener: Listener) -> SubCode:
                enter(listener)
                await speak(listener)
                await stage.leave.wait()
                return SubCode.LEFT_BY_COMMAND

            stopped: list[float] = []
            finish = await here.attend(talk_on, stop)
            took = time.monotonic() - stopped[0]
            here.transcriber.thaw()
        if left := asyncio.all_tasks() - {asyncio.current_task()}:  # when time was up, on a busy machine
            await asyncio.wait(left, timeout=5)
        assert took < 4.6, took
        assert finish.code is (SubCode.TERMINATED if frozen == "transcriber" else SubCode.NOT_STORED)
        if frozen == "transcriber":
            assert (await here.statuses())[-1] == ("completed", "terminated")
        else:
            assert "terminated" in finish.detail


async def test_what_redis_refuses_is_counted_in_the_terminal_status() -> None:
    """A segment stream that became something else takes nothing: the end is `not_stored`, with how much is missing."""
    async with world() as here:

        async def act(stage: Stage, listener: Listener) -> SubCode:
            enter(listener)
            await eventually(lambda: stage.attended)
            await asyncio.sleep(0.3)
            await here.redis.delete("transcription_segments")
            await here.redis.set("transcription_segments", "no stream")
            await speak(listener)
            await asyncio.sleep(0.5)
            return SubCode.MEETING_ENDED

        finish = await here.attend(act)
        assert finish.code is SubCode.NOT_STORED
        last = (await here.status_events())[-1]
        assert (last["status"], last["code"], last["exit_code"]) == ("failed", "not_stored", 1)
        assert last["not_stored"] == 2  # the final, and session_end
        assert "meeting_ended" in last["detail"]


async def test_no_secret_reaches_any_sink() -> None:
    """Credentials of URLs, keys and passcodes are in no status event, whatever is said about the neighbours."""
    canary = "canary-5e3a9d"
    async with world() as here:
        url = here.transcriber.url.replace("ws://", f"ws://user:{canary}@") + f"/?key={canary}"

        async def cut_off(stage: Stage, listener: Listener) -> SubCode:
            enter(listener)
            await speak(listener)
            await here.transcriber.cut()
            here.transcriber.refuse = f"not with {canary}"
            await speak(listener)
            await asyncio.sleep(0.5)
            return SubCode.REMOVED

        await here.attend(cut_off, whisperLiveUrl=url, whisperLiveApiKey=canary, passcode=canary, internalSecret=canary)
        events = await here.status_events()
        assert any(event.get("subject") == "transcriber" for event in events)
        assert canary not in json.dumps(events)


async def test_an_event_that_nobody_knows_ends_no_meeting() -> None:
    """A forgotten branch is a type error for us and a line in the log for users."""

    async def odd(stage: Stage, listener: Listener) -> SubCode:
        listener.event("what is this")  # type: ignore[arg-type]
        return await one_utterance(stage, listener)

    async with world() as here:
        assert (await here.attend(odd)) == fx.Finish(SubCode.MEETING_ENDED)


async def test_a_platform_that_returns_nothing_has_a_bug() -> None:
    """Taken as it is, it would leave a bot that is active, without a meeting, and deaf to signals."""

    async def returns_nothing(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        return None  # type: ignore[return-value]

    async with world() as here, asyncio.timeout(10):
        assert (await here.attend(returns_nothing)).code is SubCode.INTERNAL_ERROR
        assert (await here.statuses())[-1] == ("failed", "internal_error")


async def test_a_lock_that_is_lost_at_the_end_is_the_end() -> None:
    """While utterances settle another bot takes over: nothing more is written in its place, and the code says why."""
    async with world() as here:

        async def act(stage: Stage, listener: Listener) -> SubCode:
            enter(listener)
            here.transcriber.answers = False
            await speak(listener)
            await here.redis.set("earshot:lock:bot-1", "somebody else", px=60_000)
            return SubCode.MEETING_ENDED

        assert (await here.attend(act)).code is SubCode.DUPLICATE_BOT
        assert "session_end" not in [payload["type"] for payload in await here.stream()]
        assert await here.redis.get("earshot:lock:bot-1") == "somebody else"


async def test_a_crash_while_utterances_settle_is_no_clean_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The meeting was over already, and a final is lost: exit code 1, not 0."""
    async with world() as here:

        async def act(stage: Stage, listener: Listener) -> SubCode:
            monkeypatch.setattr(SegmentTracker, "update", broken)
            enter(listener)
            await speak(listener)
            return SubCode.MEETING_ENDED

        assert (await here.attend(act)).code is SubCode.INTERNAL_ERROR
        assert (await here.statuses())[-1] == ("failed", "internal_error")
        assert [payload["type"] for payload in await here.stream()] == ["session_start", "session_end"]


async def test_a_detail_that_is_no_utf8_is_told_all_the_same() -> None:
    """A lone surrogate in a platform's words becomes `?`."""

    async def act(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        raise EarshotError(SubCode.REMOVED, "by \ud83d")

    async with world() as here:
        assert (await here.attend(act)).code is SubCode.REMOVED
        last = (await here.status_events())[-1]
        assert (last["code"], last["detail"]) == ("removed", "by ?")


async def test_a_stop_while_the_transcriber_is_looked_for_is_on_the_status_stream() -> None:
    """Redis has answered: whoever watches there reads how it ended."""
    async with world() as here:
        bot = Bot(config(here.redis_url, "ws://127.0.0.1:2"), Stage(until_leave))
        running = asyncio.create_task(bot.attend())
        async with asyncio.timeout(5):
            while not await here.redis.exists("earshot:bot:bot-1"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        bot.stop(SubCode.TERMINATED)
        assert (await running).code is SubCode.TERMINATED
        assert await here.statuses() == [("completed", "terminated")]
        assert await here.redis.keys("earshot:lock:*") == []


async def test_a_reconfiguration_with_half_a_character_breaks_nothing() -> None:
    """It is refused: the next utterance is spoken to the transcriber in the language that was set."""

    async def act(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        await speak(listener)
        await here.redis.publish("bot_commands:bot-1", '{"action": "reconfigure", "language": "d\\ud83d"}')
        await asyncio.sleep(0.2)
        await speak(listener)
        return SubCode.MEETING_ENDED

    async with world() as here:
        assert (await here.attend(act, language="en")).code is SubCode.MEETING_ENDED
        assert [payload["type"] for payload in await here.stream()].count("transcription") == 2
        assert {opened.handshake.language for opened in here.transcriber.handshakes} == {"en"}


@pytest.mark.parametrize("end", ["1e305", '"1e305"', "NaN", "null"])
async def test_a_segment_with_an_absurd_end_is_asked_for_again(end: str) -> None:
    """The final is not lost, the meeting goes on, and the log says what the transcriber did."""

    async def act(stage: Stage, listener: Listener) -> SubCode:
        here.transcriber.end_of_next = end
        enter(listener)
        await speak(listener)
        await eventually(lambda: malformed(lines))
        here.transcriber.end_of_next = ""
        return SubCode.MEETING_ENDED

    async with world() as here:
        with structlog.testing.capture_logs() as lines:
            assert (await here.attend(act)).code is SubCode.MEETING_ENDED
        assert {"session_start", "transcription", "session_end"} == {one["type"] for one in await here.stream()}
        assert malformed(lines)[0]["server"] == here.transcriber.url


def malformed(lines: list[MutableMapping[str, Any]]) -> list[MutableMapping[str, Any]]:
    """The log's lines about messages of a transcriber that break the wire format."""
    return [line for line in lines if line["event"] == "transcriber.malformed"]


def task(name: str) -> asyncio.Task[object]:
    """The running task of this name."""
    return next(task for task in asyncio.all_tasks() if task.get_name() == name)


@pytest.mark.parametrize("name", ["redis-segments", "redis-lock", "redis-commands"])
async def test_a_cancellation_inside_the_link_to_redis_ends_the_bot(name: str) -> None:
    """Whichever of its tasks it hits: nobody would store, renew or hear commands any more, and nobody would say so."""

    async def cancels(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        await asyncio.sleep(0.05)
        task(name).cancel()
        await stage.leave.wait()
        return SubCode.LEFT_BY_COMMAND

    async with world() as here, asyncio.timeout(10):
        assert (await here.attend(cancels)).code is SubCode.INTERNAL_ERROR
        assert (await here.statuses())[-1] == ("failed", "internal_error")
        assert [payload["type"] for payload in await here.stream()] == ["session_start", "session_end"]


async def test_a_link_that_breaks_before_the_last_words_says_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """It had stored everything up to `session_end`: the terminal status is stored by the one that takes its place."""
    flush = Reporting.flush

    async def flush_and_break(reporting: Reporting, timeout: float) -> int:
        monkeypatch.undo()
        left = await flush(reporting, timeout)
        task("redis-status").cancel()
        await asyncio.sleep(0.05)
        return left

    async with world() as here:
        monkeypatch.setattr(Reporting, "flush", flush_and_break)
        assert (await here.attend(one_utterance)).code is SubCode.INTERNAL_ERROR
        assert (await here.statuses())[-1] == ("failed", "internal_error")


@pytest.mark.parametrize("moment", ["opening", "attending"])
async def test_a_cancelled_bot_frees_its_lock(moment: str) -> None:
    """Whoever runs it inside a program of theirs may cancel it: the lock, the heartbeat and every task are gone."""
    async with world() as here:
        stage = Stage(until_leave)
        here.transcriber.full = moment == "opening"
        running = asyncio.create_task(Bot(config(here.redis_url, here.transcriber.url), stage).attend())
        async with asyncio.timeout(5):
            while not await here.redis.exists("earshot:bot:bot-1"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        if moment == "attending":
            await eventually(lambda: stage.attended)
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()
        assert await here.redis.keys("earshot:lock:*") + await here.redis.keys("earshot:bot:*") == []


async def test_a_leave_command_before_joining_is_the_end() -> None:
    """While a transcriber is looked for: nothing is joined any more, and the status says that somebody asked for it."""
    async with world() as here, asyncio.timeout(5):
        stage = Stage(until_leave)
        here.transcriber.full = True
        running = asyncio.create_task(Bot(config(here.redis_url, here.transcriber.url), stage).attend())
        while not await here.redis.publish("bot_commands:bot-1", '{"action": "leave"}'):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert (await running).code is SubCode.LEFT_BY_COMMAND
        assert not stage.attended
        assert await here.statuses() == [("completed", "left_by_command")]


async def test_a_platform_that_cannot_be_prepared_is_a_failure_of_its_own() -> None:
    """A library that is missing: nothing is joined, and the end is said, with what to install."""

    class Broken(Stage):
        def prepare(self) -> None:
            raise ModuleNotFoundError("No module named 'acme'", name="acme")

    async with world() as here:
        finish = await here.attend(one_utterance, stage=(stage := Broken(one_utterance)))
        assert (finish.code, "acme" in finish.detail) == (SubCode.NOT_INSTALLED, True)
        assert not stage.attended
        assert (await here.statuses())[-1] == ("failed", "not_installed")
