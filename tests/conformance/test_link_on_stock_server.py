"""A lane's link against the unmodified PyPI server (whisper-live 0.10.0): its time limit, and its silence."""

from __future__ import annotations

import asyncio
import json

import pytest
from jiwer import wer
from websockets.asyncio.client import connect

from bot.links.transcriber.lane import Lane
from common.whisperlive.protocol import Handshake
from tests.support.conformance import RATE, pieces_of, said, speech, stock_server
from tests.support.lanes import running_lane

pytestmark = [pytest.mark.model, pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(90)]
FRAME = RATE // 10


async def say(lane: Lane, clip: str) -> None:
    """One sentence, as fast as somebody says it."""
    pcm = speech([clip], 0)
    for first in range(0, len(pcm), FRAME):
        lane.append(pcm[first : first + FRAME])
        await asyncio.sleep(FRAME / RATE)
    lane.end_utterance()


async def test_its_time_limit_costs_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends a connection after six seconds; that is no failure, no word is lost or doubled, and it stays in use."""
    monkeypatch.setattr("bot.links.transcriber.conversation.STOCK_DECISION_TIMEOUT_S", 25.0)  # it may be starved
    clips = ["ana1", "ben4", "ana4", "ben5", "ana8"]
    with stock_server("6") as port:
        async with running_lane(f"ws://127.0.0.1:{port}") as (lane, notes):
            for clip in clips:
                await say(lane, clip)
                await asyncio.wait_for(lane.settled(), 40)
        assert len(notes.granted_sets) > 1, "it ended none"
        assert notes.links == []
    finals = [(text.start / RATE, text.end / RATE, text.wire.text) for text in notes.texts if text.wire.completed]
    assert pieces_of(clips, 0, finals) == said(clips)


async def test_its_deadlock_is_noticed_and_another_one_takes_over(our_port: int) -> None:
    """One client's bad `vad_parameters` stop it for all: it greets, answers pings, and no text ever comes again."""
    with stock_server() as port:
        url = f"ws://127.0.0.1:{port}"
        async with connect(url, proxy=None) as client:
            bad = json.loads(Handshake("bad", language="en").serialise()) | {"vad_parameters": {"onset": 0.5}}
            await client.send(json.dumps(bad))
            await client.recv()
            await client.send((speech(["ana1"], 0).astype("<f4") / 32768).tobytes())
            await asyncio.sleep(2)  # it has begun to decode, and holds its lock
            clips = ["ben4", "ana4"]
            async with running_lane(url, f"ws://127.0.0.1:{our_port}") as (lane, notes):
                for clip in clips:
                    await say(lane, clip)
                await asyncio.wait_for(lane.settled(), 30)
    assert notes.links == [False, True]
    assert "speech but no text" in notes.health[0][1]
    assert len(notes.granted_sets) == 2
    assert wer(" ".join(said(clips)), " ".join(notes.finals)) <= 0.05
