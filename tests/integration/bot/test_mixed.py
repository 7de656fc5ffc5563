"""A whole bot with `audio.mode: mixed`: one stream, names from the tracks, hearing health, and when it leaves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.core import events as ev
from bot.platforms.base import Listener
from bot.runner import Bot
from common.contracts.status import SubCode
from tests.integration.bot.test_runner import Stage, enter, speak, world
from tests.support.waiting import eventually

pytestmark = [pytest.mark.redis, pytest.mark.slow]
MIXED: dict[str, Any] = {"audio": {"mode": "mixed"}}


async def test_the_mix_is_heard_named_and_over_with_its_tracks() -> None:
    """Ana is heard alone: her final has her name; the mix is in health while somebody has a track, then no more."""
    bots: list[Bot] = []

    async def keep(bot: Bot) -> None:
        bots.append(bot)

    async def act(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        await speak(listener)
        counters = bots[0]._core.health.counters
        assert counters.keys() == {"t1", "mix"}
        assert (counters["t1"].sent, counters["mix"].sent > 16_000) == (0, True)
        await eventually(lambda: counters["mix"].acknowledged > 16_000)
        await eventually(lambda: counters["mix"].segments == 1, 15)  # once it is certain who spoke
        listener.event(ev.TrackClosed("t1"))
        assert bots[0]._core.health.counters == {}
        return SubCode.MEETING_ENDED

    async with world() as here:
        assert (await here.attend(act, keep, **MIXED)).code is SubCode.MEETING_ENDED
        [final] = [segment for payload in await here.stream() for segment in payload.get("segments", [])]
        assert (final["speaker"], final["speaker_id"]) == ("Ana", "ana")
        assert here.transcriber.most_open == 1
        health = [event for event in await here.status_events() if event["event"] == "health"]
        assert health == []


async def test_a_mixing_bot_leaves_when_the_last_word_is_long_past() -> None:
    """Everything is muted in the end: the rule about silence counts from the last speech of the mix."""
    spoken: list[float] = []

    async def act(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        await speak(listener)
        listener.event(ev.TrackMuted("t1"))
        spoken.append(asyncio.get_running_loop().time())
        await stage.leave.wait()
        spoken.append(asyncio.get_running_loop().time())
        return SubCode.LEFT_BY_COMMAND

    rules = {"silenceTimeout": 2_000, "silenceAfter": 1}
    async with world() as here:
        finish = await asyncio.wait_for(here.attend(act, automaticLeave=rules, **MIXED), 20)
        assert finish.code is SubCode.SILENCE_TIMEOUT
        assert 1.0 <= spoken[1] - spoken[0] <= 5.0
        [final] = [segment for payload in await here.stream() for segment in payload.get("segments", [])]
        assert final["speaker"] == "Ana"
