"""The network between bot and transcriber: slices, delay, little bandwidth, partitions; every word once, in order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import numpy as np
import pytest

from bot.links.transcriber.lane import Lane
from tests.support.fakes.scripted_engine import silence, tone
from tests.support.fakes.scripted_service import process
from tests.support.lanes import LaneNotes, running_lane
from tests.support.network import partition, require_network
from tests.support.servers.proxies import TcpProxy
from tests.support.transcribing import serving
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]
WORDS = ["alpha", "bravo", "charlie", "delta", "echo", "alpha", "charlie", "bravo"]


def say(lane: Lane, words: list[str]) -> None:
    """An utterance for each, all at once: as after an outage."""
    for word in words:
        lane.append(tone(word))
        lane.end_utterance()


@asynccontextmanager
async def behind(**hindrance: Any) -> AsyncIterator[tuple[Lane, LaneNotes]]:
    """A lane to our transcriber through a proxy."""
    async with (
        serving() as server,
        TcpProxy("127.0.0.1", int(server.url.rpartition(":")[2]), **hindrance) as proxy,
        running_lane(f"ws://127.0.0.1:{proxy.port}") as (lane, notes),
    ):
        yield lane, notes


async def test_slices_of_one_byte_change_nothing() -> None:
    """Both ways, handshake included."""
    async with behind(slice_bytes=1) as (lane, notes):
        say(lane, WORDS[:3])
        await asyncio.wait_for(lane.settled(), 30)
    assert notes.finals == WORDS[:3]
    assert notes.links == []


async def test_delay_and_little_bandwidth_are_no_reason_to_connect_anew() -> None:
    """64 kB/s and 200 ± 100 ms: twice real time of what our transcriber gets; all of it arrives on one connection."""
    chance = random.Random(5)
    async with behind(bytes_per_s=64_000, delay=lambda: chance.uniform(0.1, 0.3)) as (lane, notes):
        say(lane, WORDS * 2)  # 10 s of audio
        await asyncio.wait_for(lane.settled(), 40)
        assert len(notes.granted_sets) == 1
    assert notes.finals == WORDS * 2
    assert notes.links == []


@pytest.mark.processes
async def test_a_silent_partition_is_noticed_and_caught_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packets vanish both ways in mid-word, nobody is told; after it every word is there, once."""
    require_network()
    monkeypatch.setattr("bot.links.transcriber.dialing.PING_INTERVAL_S", 0.3)
    monkeypatch.setattr("bot.links.transcriber.dialing.SILENT_LINE_S", 1.0)
    monkeypatch.setattr("bot.links.transcriber.dialing.OPEN_TIMEOUT_S", 1.0)
    async with process() as (_, url), running_lane(url) as (lane, notes), AsyncExitStack() as stack:
        for number, word in enumerate(WORDS):
            pcm = np.concatenate([tone(word, 0.5), silence(0.2)])
            for first in range(0, len(pcm), 1600):
                lane.append(pcm[first : first + 1600])
                await asyncio.sleep(0.1)
                if (number, first) == (1, 3200):
                    await stack.enter_async_context(partition(url.rpartition(":")[2]))
            lane.end_utterance()
            if number == 4:
                await eventually(lambda: notes.links == [False])
                await stack.aclose()
        await asyncio.wait_for(lane.settled(), 20)
    assert notes.finals == WORDS
    assert notes.links == [False, True]
    assert "no sign of life" in notes.health[0][1]
