"""A whole bot whose transcriber says nothing: what its consumers learn, and that nothing is lost."""

from __future__ import annotations

import asyncio

import pytest

from bot.platforms.base import Listener
from common.contracts.status import MEANINGS, SubCode
from tests.integration.bot.test_runner import Stage, enter, speak, world
from tests.support.waiting import eventually

pytestmark = [pytest.mark.redis, pytest.mark.slow]


async def test_where_no_transcriber_ever_answers_the_bot_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """It greets, takes speech and answers pings: after the time that is set the end says so, with its own exit code."""
    monkeypatch.setattr("bot.links.transcriber.conversation.ANSWER_TIMEOUT_S", 0.5)
    monkeypatch.setattr("bot.core.unheeded.MUTE_SAMPLES", 16_000)
    async with world() as here:
        here.transcriber.answers = False

        async def act(stage: Stage, listener: Listener) -> SubCode:
            enter(listener)
            await speak(listener)
            await stage.leave.wait()
            return SubCode.LEFT_BY_COMMAND

        rules = {"enabled": False}
        finish = await asyncio.wait_for(here.attend(act, whisperLiveMuteTimeoutMs=1_500, automaticLeave=rules), 20)
        assert finish.code is SubCode.TRANSCRIBER_MUTE
        assert MEANINGS[finish.code].exit_code == 6
        assert (await here.statuses())[-1] == ("failed", "transcriber_mute")
        assert [payload["type"] for payload in await here.stream()] == ["session_start", "session_end"]


async def test_speech_without_text_is_on_the_status_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the transcriber greets and answers pings; when it answers, that is said too, and the words are there."""
    monkeypatch.setattr("bot.links.transcriber.conversation.ANSWER_TIMEOUT_S", 0.5)
    async with world() as here:
        here.transcriber.answers = False

        async def act(stage: Stage, listener: Listener) -> SubCode:
            enter(listener)
            await speak(listener)
            await eventually(lambda: here.transcriber.connections > 2, 10)  # the start's, and two that were in vain
            here.transcriber.answers = True
            while len(await here.stream()) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            return SubCode.MEETING_ENDED

        await here.attend(act)
        assert [payload["type"] for payload in await here.stream()] == ["session_start", "transcription", "session_end"]
        health = [event for event in await here.status_events() if event.get("subject") == "transcriber"]
        assert [event["healthy"] for event in health] == [False, True]
        assert "speech but no text" in health[0]["detail"]
