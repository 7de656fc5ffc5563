"""The meeting's network is cut under a whole bot, by a link that goes down; and people are called what forges logs."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from rehearsal.livekit.server import HERMETIC_ADDRESS
from tests.support.chain import PEOPLE, Chain, begun, chain
from tests.support.measures import in_time, note
from tests.support.meetings import LiveKitMeeting, Meeting, rehearsal_meeting
from tests.support.network import Island, require_network
from tests.support.numbered import Span
from tests.support.seeds import FULL

pytestmark = [pytest.mark.processes, pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]
CUTS_S = (2.0, 30.0) if FULL else (2.0,)
MAX_RETURN_S = 20.0


@asynccontextmanager
async def held(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[Meeting]:
    """A meeting at the address that an island reaches by its link."""
    if kind == "livekit":
        async with LiveKitMeeting(request.getfixturevalue("livekit"), PEOPLE).held() as room:
            yield room
    else:
        async with rehearsal_meeting(PEOPLE, HERMETIC_ADDRESS) as rehearsal:
            yield rehearsal


async def away(here: Chain) -> list[Span]:
    """When the bot itself says that it was not in the meeting: lost and back, in pairs."""
    events: list[dict[str, Any]] = await here.statuses()
    told = [event for event in events if event["event"] == "health" and event["subject"] == "meeting"]
    assert [event["healthy"] for event in told] == [False, True] * (len(told) // 2)
    moments = [datetime.fromisoformat(event["timestamp"]).timestamp() for event in told]
    return list(zip(moments[::2], moments[1::2], strict=True))


@pytest.mark.parametrize("kind", ["rehearsal", pytest.param("livekit", marks=pytest.mark.livekit)])
async def test_a_meeting_whose_link_goes_down_is_heard_again(
    kind: str, seed: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """For 2 s, and for 30: what is said before and after is there once, but for what the bot says that it missed, which
    is no more than the outages and its returns; the bot is there once; lost and back are said in pairs."""
    require_network()
    island = Island()
    numbers = {}
    async with held(kind, request) as meeting, chain(seed, tmp_path, meeting=meeting, island=island) as here:
        await here.start_bot()
        await here.hears_everybody()
        async with here.conversation():
            await here.some_time(3.0, 4.0)
            for seconds in CUTS_S:
                cut = time.time()
                await island.cut(seconds)
                back = time.time()
                while not heard_since(await here.finals(), back):
                    await asyncio.sleep(0.1)
                    assert in_time(time.time() - back, MAX_RETURN_S), "not heard again"
                heard = min(begun(final) for final in await here.finals() if begun(final) > back)
                numbers[f"heard_after_{seconds:g}_s"] = heard - back
                here.away.append((cut, time.time()))
                await here.some_time(4.0, 4.0)
        await here.settled()
        assert await meeting.bots() == 1
        missed = await away(here)
        assert len(missed) <= len(CUTS_S)
        assert in_time(sum(back - lost for lost, back in missed), sum(CUTS_S) + MAX_RETURN_S * len(CUTS_S)), missed
        here.away += missed
        await here.end()
        note("test_a_meeting_whose_link_goes_down_is_heard_again", seed, **numbers)


def heard_since(finals: list[dict[str, Any]], moment: float) -> bool:
    """Whether everybody has said something since then."""
    return {final["speaker_id"] for final in finals if begun(final) > moment} == set(PEOPLE)


async def test_names_that_forge_are_only_names(seed: int, tmp_path: Path) -> None:
    """Line ends, escapes, text direction, tags: cleaned and short where they are stored; the log is JSON lines."""
    called = {
        "ana": "Ana\r\n2026-01-01 ERROR forged\x1b[2J\x00",
        "ben": "\u202eneB\u2066<script>alert(1)</script>" + "x" * 1000,
    }
    stored = {"ana": "Ana 2026-01-01 ERROR forged[2J", "ben": ("neB<script>alert(1)</script>" + "x" * 1000)[:128]}
    async with rehearsal_meeting(stored, names=called) as meeting, chain(seed, tmp_path, meeting=meeting) as here:
        await here.start_bot()
        await here.hears_everybody()
        async with here.conversation():
            await asyncio.sleep(3.0)
        await here.settled()
        await here.end()
        assert re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", here.log) is None
