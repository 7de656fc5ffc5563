"""Chat and captions of a scripted platform on their way into real Redis, beside what is said."""

from __future__ import annotations

import asyncio
import io
import re

import pytest

from bot.core import events as ev
from bot.core import health
from bot.platforms.base import Listener
from bot.runner import Bot
from common.contracts.status import SubCode
from common.logging import configure_logging
from tests.integration.bot.test_runner import Stage, enter, speak, world
from tests.support.waiting import eventually

pytestmark = [pytest.mark.redis, pytest.mark.slow]


async def test_what_is_written_is_published_beside_what_is_said() -> None:
    """In its order, each line once, marked, under an id of its own; and it is no answer to what was said."""

    async def act(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        listener.event(ev.ChatReceived("ana", "Ana", "see\n https://example.com/?a=b \x1b[2J"))
        listener.event(ev.ChatReceived(None, "", "who is this?"))
        await speak(listener)
        now = asyncio.get_running_loop().time()
        listener.event(ev.CaptionHeard("ana", "Ana", "which was heard", now - 1, now))
        listener.event(ev.ChatReceived("ana", "Ana", "bye"))
        return SubCode.MEETING_ENDED

    log = io.StringIO()
    configure_logging("debug", (), stream=log, pretty=False)
    async with world() as here:
        await here.attend(act)
        start, *said, end = await here.stream()
        assert (start["type"], end["type"]) == ("session_start", "session_end")
        texts = [segment for payload in said for segment in payload["segments"]]
        written = [one for one in texts if one.get("source") == "chat"]
        assert [(one["speaker"], one["speaker_id"], one["text"]) for one in written] == [
            ("Ana", "ana", "see https://example.com/?a=b [2J"),
            ("unknown", "unknown", "who is this?"),
            ("Ana", "ana", "bye"),
        ]
        assert [one["speaker"] for one in texts if "source" not in one] == ["Ana"]
        assert len({one["segment_id"] for one in texts}) == len(texts) == 4
        assert all(one["start"] == one["end"] and one["completed"] for one in written)
        assert not re.search("example.com|who is this|bye|was heard", log.getvalue())
        assert not [event for event in await here.status_events() if event.get("healthy") is False]


async def test_captions_are_published_where_no_sound_comes() -> None:
    """Nothing comes of Ana's open track: what captions say stands in; not where nothing is to be transcribed."""

    async def act(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        await eventually(lambda: bots[-1]._core.health.is_soundless, 15)
        now = asyncio.get_running_loop().time()
        listener.event(ev.CaptionHeard("ana", "Ana", "I call you", now - 1, now))
        listener.event(ev.ChatReceived("ana", "Ana", "hello?"))
        return SubCode.MEETING_ENDED

    bots: list[Bot] = []

    async def keep(bot: Bot) -> None:
        bots.append(bot)

    async with world() as here:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(health, "DEAF_TIMEOUT_S", 1.0)
            await here.attend(act, keep)
            await here.attend(act, keep, transcribeEnabled=False, connectionId="bot-2")
        payloads = [payload for payload in await here.stream() if payload["type"] == "transcription"]
        assert [
            (payload["uid"], one["source"], one["text"]) for payload in payloads for one in payload["segments"]
        ] == [
            ("bot-1", "captions", "I call you"),
            ("bot-1", "chat", "hello?"),
        ]
