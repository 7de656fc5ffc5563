"""A whole bot in a LiveKit room that is heard as an egress: whole processes, numbered words, the road changes twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.platforms.test_livekit_egress import PATIENCE_S, stage
from tests.support.chain import BOT, PEOPLE, Chain, begun, chain
from tests.support.meetings import LiveKitMeeting
from tests.support.numbered import Said, check
from tests.support.waiting import eventually

pytestmark = [pytest.mark.livekit, pytest.mark.redis, pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(300)]
PAUSE_S = 1.3
"""Between two turns."""
IN_MIX = 9
"""Turns while the mix is in charge."""
SLACK_S = 1.0
"""Between what the clocks of who speaks and of who hears say about a word."""


async def turns(here: Chain, meeting: LiveKitMeeting, count: int, first: int) -> list[tuple[str, Said]]:
    """People speak one after the other."""
    said = []
    for number in range(first, first + count):
        who = list(PEOPLE)[number % len(PEOPLE)]
        begin = time.time()
        await meeting.say(who, number)
        said.append((who, Said(number, begin, time.time())))
        await asyncio.sleep(PAUSE_S)
    return said


def wrong_and_unknown(said: Sequence[tuple[str, Said]], finals: Sequence[dict[str, Any]]) -> tuple[int, int, int]:
    """Words under another's name, words under nobody's, and all words."""
    wrong = unknown = words = 0
    for final in finals:
        count = len(final["text"].split())
        words += count
        speakers = {who for who, one in said if one.begin - SLACK_S < begun(final) + 0.75 < one.end + SLACK_S}
        if final["speaker_id"] not in PEOPLE:
            unknown += count
        elif final["speaker_id"] not in speakers:
            wrong += count
    return wrong, unknown, words


async def test_scripted_turns_on_both_roads(tmp_path: Path) -> None:
    """Tracks, the mix, its drop, the tracks: every word once but for the drop's hole, none under a wrong name, and in
    the mix 2 % of them at most under nobody's."""
    async with stage(latency=1.0) as here:
        meeting = LiveKitMeeting(here.server, PEOPLE)
        ingest = f"rtmp://127.0.0.1:{here.rtmp.port}/live"
        meeting.settings["livekit"] |= {"egress": {"ingestUrl": ingest, "secret": here.rtmp.secret, "limit": 1}}
        async with meeting.held(), chain(7, tmp_path, meeting=meeting) as bots:
            await bots.start_bot()
            await bots.hears_everybody()
            said = await turns(bots, meeting, 2, 1)
            number = 3
            while '"stage": "composite"' not in bots.log:
                said += await turns(bots, meeting, 1, number)
                number += 1
                assert number < 60, bots.log[-3000:]
            switched = time.time()
            in_mix = await turns(bots, meeting, IN_MIX, number)
            said += in_mix
            dropped = time.time()
            await here.worker.drop(here.worker.running[0])
            await eventually(lambda: '"before": "composite"' in bots.log, PATIENCE_S)
            said += await turns(bots, meeting, 3, number + IN_MIX)
            end = asyncio.get_running_loop().time() + PATIENCE_S
            while asyncio.get_running_loop().time() < end:
                finals = await bots.finals()
                if finals and max(map(begun, finals)) > said[-1][1].begin - 0.7:
                    break
                await asyncio.sleep(0.1)
            begin = said[0][1].begin - SLACK_S  # before that everybody said something to be heard
            finals = sorted((final for final in await bots.finals() if begun(final) > begin), key=begun)
            await bots.meeting.end()
            await bots.bot.wait()
        assert BOT not in "".join(final["text"] for final in finals)
        lost = check(
            [one for _, one in said], [final["text"] for final in finals], [*bots.away, (dropped - 1.5, dropped + 3.0)]
        )
        wrong, _, words = wrong_and_unknown(said, finals)
        mixed = [final for final in finals if switched < begun(final) < dropped]
        _, unknown, words_in_mix = wrong_and_unknown(in_mix, mixed)
        figures = f"{words} words, {lost} lost, {wrong} wrong names; in the mix {words_in_mix}, {unknown} unknown"
        assert words_in_mix >= 24, figures
        assert wrong == 0, figures
        assert unknown <= 0.02 * words_in_mix, figures
        assert not here.worker.running
