"""Transcribers in order of preference: failover, the way back, pauses that grow, connections that are ended."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import numpy as np
import pytest

from bot.links.transcriber.lane import Lane
from bot.links.transcriber.link import TranscriberLink
from tests.support.fakes.scripted_engine import tone
from tests.support.fakes.scripted_transcriber import ScriptedTranscriber, scripted_transcriber
from tests.support.fakes.stock_transcriber import StockTranscriber, stock_transcriber
from tests.support.lanes import LaneNotes, free_port, hello, running_lane
from tests.support.transcribing import serving
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow
SPEECH = np.full(16_000, 1000, np.int16)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks more often, sends faster, and probes after tenths of seconds; jitter takes half of each pause."""
    monkeypatch.setattr("bot.links.transcriber.lane.WATCH_INTERVAL_S", 0.05)
    monkeypatch.setattr("bot.links.transcriber.lane.CATCH_UP_RATIO", 40)
    monkeypatch.setattr("bot.links.transcriber.lane.STEADY_S", 0.5)
    monkeypatch.setattr("bot.links.transcriber.servers.MIN_PROBE_S", 0.1)
    monkeypatch.setattr("bot.links.transcriber.servers.CREDIBLE_LIMIT_S", 0.9)
    monkeypatch.setattr("bot.links.transcriber.link.PROBE_POLL_S", 0.05)
    monkeypatch.setattr("random.random", lambda: 0.5)


async def say(lane: Lane) -> None:
    """An utterance, until it is decided."""
    lane.append(SPEECH)
    lane.end_utterance()
    await asyncio.wait_for(lane.settled(), 10)


async def test_lanes_come_back_to_the_preferred_transcriber_between_utterances() -> None:
    """The second one serves while the first is away; once it is back it gets the next utterance, and nothing twice."""
    port = free_port()
    first, second = ScriptedTranscriber(), ScriptedTranscriber()
    async with scripted_transcriber(second), running_lane(f"ws://127.0.0.1:{port}", second.url) as (lane, notes):
        await say(lane)
        lane.append(SPEECH)  # somebody is speaking
        async with scripted_transcriber(first, port):
            await eventually(lambda: first.connections)
            await asyncio.sleep(0.3)
            assert len(notes.granted_sets) == 1, "it left in the middle of an utterance"
            lane.end_utterance()
            await lane.settled()
            await eventually(lambda: len(notes.granted_sets) == 2)
            await say(lane)
            assert list(first.heard) == [32_000]
            assert list(second.heard) == [0, 16_000]
    assert notes.finals == ["16000 samples"] * 3


async def test_one_probe_looks_after_a_transcriber_for_all_lanes() -> None:
    """Three lanes on the second server mean one connection at a time to the first, at growing distances."""
    away, works = StockTranscriber(status=HTTPStatus.SERVICE_UNAVAILABLE), ScriptedTranscriber()
    async with stock_transcriber(away), scripted_transcriber(works):
        link = TranscriberLink((away.url, works.url), hello, LaneNotes(), last_backoff=0.1)
        lanes = [link.lane(number) for number in range(1, 4)]
        running = [asyncio.create_task(work) for work in (link.run(), *(lane.run() for lane in lanes))]
        for lane in lanes:
            await say(lane)
        before = away.asked
        await asyncio.sleep(1.5)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    assert before <= len(lanes) + 2
    assert away.asked - before <= 5  # after 0.075, 0.15, 0.3, 0.6 s; one probe, not three
    assert works.connections == len(lanes)


async def test_a_lane_for_which_there_is_no_room_stays_where_it_was_taken() -> None:
    """Our transcriber is full with the first lane, whose progress draws the second one back only when there is room."""
    notes = LaneNotes()
    async with serving(max_clients=1) as full, serving() as other:
        link = TranscriberLink((full.url, other.url), hello, notes, last_backoff=0.1)
        lanes = [link.lane(number) for number in (1, 2)]
        running = [asyncio.create_task(work) for work in (link.run(), *(lane.run() for lane in lanes))]
        for word in ("alpha", "bravo", "charlie", "delta"):
            for lane in lanes:
                lane.append(tone(word))
                lane.end_utterance()
                await lane.settled()
            await asyncio.sleep(0.2)  # time enough to go elsewhere
        assert len(notes.granted_sets) == 2
        lanes[0].close()
        await eventually(lambda: len(notes.granted_sets) == 3)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    assert notes.finals == [word for word in ("alpha", "bravo", "charlie", "delta") for _ in lanes]


async def test_a_transcriber_that_greets_and_closes_is_not_asked_all_the_time() -> None:
    """Pauses grow with its failures: its greeting is no progress. Health changes once, not with each connection."""
    rude = StockTranscriber(hangs_up=True)
    async with stock_transcriber(rude), running_lane(rude.url, last_backoff=2.0) as (lane, notes):
        lane.append(SPEECH)
        lane.end_utterance()
        await asyncio.sleep(3)
        assert 1 < rude.connections <= 8  # after 0.05, 0.1, 0.2, 0.4, 0.8, 1, 1 s; 40 without growth
        assert notes.links == [False]
        rude.hangs_up = False
        await asyncio.wait_for(lane.settled(), 10)
    assert notes.links == [False, True]
    assert notes.finals == ["16000 samples"]


async def test_a_time_limit_is_no_failure_and_is_known_from_then_on() -> None:
    """After DISCONNECT the same server goes on at once; the next connection is renewed in a pause, before its limit."""
    limited, fallback = StockTranscriber(longest=1.0), ScriptedTranscriber()
    async with (
        stock_transcriber(limited),
        scripted_transcriber(fallback),
        running_lane(limited.url, fallback.url) as (lane, notes),
    ):
        await say(lane)
        await asyncio.sleep(1.1)
        await say(lane)
        assert (limited.disconnects, limited.connections) == (1, 2)
        await eventually(lambda: limited.connections >= 3)
        limited.longest = None
        await say(lane)
        assert limited.disconnects == 1
    assert notes.finals == ["16000 samples"] * 3
    assert fallback.connections == 0
    assert notes.links == []


async def test_a_limit_that_is_configured_needs_not_be_met() -> None:
    """The connection is renewed before, and the server never has to end one."""
    limited = StockTranscriber(longest=1.0)
    async with stock_transcriber(limited), running_lane(limited.url, longest=1.0) as (lane, notes):
        for _ in range(3):
            await say(lane)
            await eventually(lambda before=limited.connections: limited.connections > before)  # type: ignore[misc]
        assert limited.disconnects == 0
    assert notes.finals == ["16000 samples"] * 3


async def test_a_restart_is_no_time_limit() -> None:
    """A young connection that is ended in order, once, has taught us nothing: the next one lasts."""
    server = StockTranscriber(longest=0.6)
    async with stock_transcriber(server), running_lane(server.url) as (lane, notes):
        await say(lane)
        await asyncio.sleep(0.7)
        lane.append(SPEECH)
        await eventually(lambda: server.disconnects)
        server.longest = None
        lane.end_utterance()
        await say(lane)
        await asyncio.sleep(1.0)
        assert server.connections == 2
    assert notes.links == []


async def test_a_connection_on_which_nobody_spoke_is_not_renewed_for_its_age() -> None:
    """It would be done again and again for nothing."""
    server = StockTranscriber()
    async with stock_transcriber(server), running_lane(server.url, longest=0.2) as (lane, _):
        await say(lane)
        await eventually(lambda: server.connections == 2)
        await asyncio.sleep(0.6)
        assert server.connections == 2


async def test_a_place_that_a_full_server_took_back_is_asked_for_when_somebody_speaks() -> None:
    """Nobody spoke on the lane: that is no trouble, and no reason to take somebody else's place in turn."""
    server = ScriptedTranscriber()
    async with scripted_transcriber(server), running_lane(server.url) as (lane, notes):
        await say(lane)
        await server.close(1013)
        await asyncio.sleep(0.3)
        assert server.connections == 1
        await say(lane)
        assert server.connections == 2
    assert notes.links == []


async def test_trouble_ends_though_nobody_speaks_any_more() -> None:
    """The only server goes away, the idle lane is closed, the server comes back: that is said without a lane."""
    port = free_port()
    server, notes = ScriptedTranscriber(), LaneNotes()
    link = TranscriberLink((f"ws://127.0.0.1:{port}",), hello, notes, last_backoff=0.1)
    lane, probing = link.lane(1), asyncio.create_task(link.run())
    async with asyncio.TaskGroup() as group:
        group.create_task(lane.run())
        async with scripted_transcriber(server, port) as listening:
            await say(lane)
            listening.close()
            await server.cut()
        await eventually(lambda: notes.links == [False])
        lane.close()
    async with scripted_transcriber(server, port):
        await eventually(lambda: notes.links == [False, True])
        before = server.connections
        await asyncio.sleep(0.3)
        assert server.connections == before, "it is visited once"
    probing.cancel()
    await asyncio.gather(probing, return_exceptions=True)


async def test_trouble_ends_though_the_place_was_given_to_somebody_else() -> None:
    """The idle lane that a full server turned away after trouble does not hold on to that trouble."""
    server = ScriptedTranscriber()
    async with scripted_transcriber(server), running_lane(server.url) as (lane, notes):
        await say(lane)
        await server.cut()
        await eventually(lambda: len(notes.granted_sets) == 2)
        assert notes.links == [False]
        await server.close(1013)
        await eventually(lambda: notes.links == [False, True])
        await say(lane)
    assert notes.links == [False, True]


FULL = ({"status": "WAIT", "message": 2.0},)
BROKEN = ({"status": "ERROR", "message": "Failed to load model: no memory"},)


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ({"instead": FULL}, "is full and says to wait 2 min"),
        ({"instead": BROKEN}, "Failed to load model"),
        ({"instead": ({"message": "DISCONNECT"},)}, "ended the connection"),
        ({"hangs_up": True}, "closed"),
        ({"status": HTTPStatus.TOO_MANY_REQUESTS}, "asked too often"),
        ({"status": HTTPStatus.SERVICE_UNAVAILABLE}, "no room"),
    ],
    ids=["WAIT", "ERROR", "DISCONNECT", "closes", "429", "503"],
)
async def test_trouble_passes_and_loses_nothing(trouble: dict[str, object], words: str) -> None:
    """It is said in words, tried again, and when it is over the audio is heard once."""
    server = StockTranscriber(**trouble)  # type: ignore[arg-type]
    async with stock_transcriber(server), running_lane(server.url) as (lane, notes):
        lane.append(SPEECH)
        lane.end_utterance()
        await eventually(lambda: notes.links == [False])
        await asyncio.sleep(0.3)
        for name in trouble:
            setattr(server, name, getattr(StockTranscriber(), name))
        await asyncio.wait_for(lane.settled(), 10)
        assert words in notes.health[0][1]
    assert notes.finals == ["16000 samples"]
    assert server.heard == [16_000]
    assert notes.links == [False, True]
