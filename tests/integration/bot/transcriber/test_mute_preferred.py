"""A preferred transcriber that greets and never answers, beside one that works: real sockets, virtual time."""

from __future__ import annotations

import asyncio

import numpy as np

from bot.links.transcriber.lane import Lane
from bot.links.transcriber.link import TranscriberLink
from tests.support.fakes.scripted_transcriber import ScriptedTranscriber, scripted_transcriber
from tests.support.lanes import LaneNotes, hello
from tests.support.virtual_time import VirtualTimeLoop

TENTH = np.ones(1600, np.int16)


async def talk(lane: Lane) -> int:
    """Two seconds of speech in three, for three minutes; returns the most samples that were ever undecided."""
    most = 0
    for _ in range(60):
        for _ in range(20):
            lane.append(TENTH)
            most = max(most, lane.undecided)
            await asyncio.sleep(0.1)
        lane.end_utterance()
        await asyncio.sleep(1.0)
    return most


def test_a_mute_transcriber_is_tried_by_one_lane_and_costs_nothing() -> None:
    """It greets each probe, and one lane at a time finds out; nobody's speech comes near what the bot can keep."""
    mute, works, notes = ScriptedTranscriber(answers=False), ScriptedTranscriber(), LaneNotes()

    async def meeting() -> list[int]:
        async with scripted_transcriber(mute), scripted_transcriber(works):
            link = TranscriberLink((mute.url, works.url), hello, notes)
            lanes = [link.lane(number) for number in (1, 2, 3)]
            running = [asyncio.create_task(work) for work in (link.run(), *(lane.run() for lane in lanes))]
            await asyncio.sleep(0)
            talking = asyncio.gather(*map(talk, lanes))
            await asyncio.sleep(20)
            mute.most_open = 0
            most = await talking
            await asyncio.gather(*(lane.settled() for lane in lanes))
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            return most

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        most = runner.run(meeting())
    assert max(most) < 25 * 16_000
    assert 0 < mute.most_open <= 2  # a lane and a probe
    assert len(notes.finals) == 3 * 60
