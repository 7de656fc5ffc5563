"""A lane trusts no silence: transcribers that take speech and say nothing, and some that only seem dead."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from numpy.typing import NDArray

from bot.links.transcriber.lane import Lane
from tests.support.fakes.scripted_engine import ScriptedEngine, tone
from tests.support.fakes.scripted_transcriber import ScriptedTranscriber, scripted_transcriber
from tests.support.fakes.stock_transcriber import StockTranscriber, stock_transcriber
from tests.support.lanes import running_lane
from tests.support.transcribing import serving
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow
CLEAR = np.full(32_000, 1000, np.int16)
"""Two seconds that count as speech."""
COUGH = CLEAR[:8000]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that waits for seconds waits for tenths of them, and is looked after as often."""
    monkeypatch.setattr("bot.links.transcriber.conversation.ANSWER_TIMEOUT_S", 0.6)
    monkeypatch.setattr("bot.links.transcriber.conversation.STOCK_DECISION_TIMEOUT_S", 0.6)
    monkeypatch.setattr("bot.links.transcriber.lane.WATCH_INTERVAL_S", 0.05)
    monkeypatch.setattr("bot.links.transcriber.lane.CATCH_UP_RATIO", 40)


def say(lane: Lane, *utterances: NDArray[np.int16]) -> None:
    """Each with its end."""
    for pcm in utterances:
        lane.append(pcm)
        lane.end_utterance()


async def test_a_transcriber_that_answers_pings_and_nothing_else_is_left_for_the_next() -> None:
    """The alarm says what is wrong, the connection is broken by us, and the next server gets all of it, once."""
    mute, works = ScriptedTranscriber(answers=False), ScriptedTranscriber()
    async with (
        scripted_transcriber(mute),
        scripted_transcriber(works),
        running_lane(mute.url, works.url) as (lane, notes),
    ):
        say(lane, CLEAR)
        await lane.settled()
        assert np.array_equal(works.heard[0], CLEAR)
    assert notes.finals == ["32000 samples"]
    assert notes.links == [False, True]
    assert "speech but no text" in notes.health[0][1]
    assert mute.url in notes.health[0][1]


async def test_the_only_transcriber_stays_unhealthy_until_it_answers() -> None:
    """Each new connection greets and answers pings, which is no answer; nothing counts as decided meanwhile."""
    mute = ScriptedTranscriber(answers=False)
    async with scripted_transcriber(mute), running_lane(mute.url) as (lane, notes):
        say(lane, CLEAR)
        await eventually(lambda: mute.connections == 2, 10)
        assert notes.links == [False]
        assert lane.undecided == len(CLEAR)
        mute.answers = True
        await asyncio.wait_for(lane.settled(), 10)
        assert notes.links == [False, True]
    assert notes.finals == ["32000 samples"]


async def test_a_stock_transcriber_that_is_mute_has_decided_nothing() -> None:
    """Two clear utterances without a word are alarm and failover: the next server gets both, and says text for both."""
    mute, works = StockTranscriber(is_mute=True), StockTranscriber()
    async with stock_transcriber(mute), stock_transcriber(works), running_lane(mute.url, works.url) as (lane, notes):
        say(lane, CLEAR, CLEAR)
        await eventually(lambda: notes.links == [False])
        assert (notes.until, lane.undecided) == (0, 2 * len(CLEAR))
        await lane.settled()
    assert works.heard == [32_000, 32_000]
    assert notes.finals == ["32000 samples"] * 2
    assert "speech but no text" in notes.health[0][1]


async def test_one_long_utterance_is_enough_to_find_a_stock_transcriber_mute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody says nothing for so long."""
    monkeypatch.setattr("bot.links.transcriber.answers.MUTE_SPEECH_SAMPLES", len(CLEAR))
    mute, works = StockTranscriber(is_mute=True), StockTranscriber()
    async with stock_transcriber(mute), stock_transcriber(works), running_lane(mute.url, works.url) as (lane, notes):
        say(lane, CLEAR)
        await lane.settled()
    assert notes.finals == ["32000 samples"]
    assert notes.links == [False, True]


async def test_coughs_are_decided_and_no_reason_to_worry() -> None:
    """A stock server says nothing of them; several in a row are still no speech."""
    silent = StockTranscriber(is_mute=True)
    async with stock_transcriber(silent), running_lane(silent.url) as (lane, notes):
        say(lane, COUGH, COUGH, COUGH)
        await lane.settled()
    assert notes.links == []
    assert silent.connections == 1


async def test_a_transcriber_that_holds_back_is_not_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours, for longer than a silent line lives: it says so by pongs, gets nothing twice, and answers in the end."""
    monkeypatch.setattr("bot.links.transcriber.conversation.ANSWER_TIMEOUT_S", 20.0)
    monkeypatch.setattr("bot.links.transcriber.dialing.PING_INTERVAL_S", 0.2)
    monkeypatch.setattr("bot.links.transcriber.dialing.SILENT_LINE_S", 1.0)
    monkeypatch.setattr("transcriber.websocket.connection.LIFE_SIGN_INTERVAL_S", 0.2)
    monkeypatch.setattr("transcriber.core.session.MAX_UNDECIDED_SAMPLES", 16_000)
    engine = ScriptedEngine()
    engine.go.clear()
    async with serving(engine) as server, running_lane(server.url) as (lane, notes):
        say(lane, *map(tone, ["alpha", "bravo", "charlie", "delta"]))
        await eventually(lambda: engine.asked)
        await asyncio.sleep(2)
        engine.go.set()
        await asyncio.wait_for(lane.settled(), 10)
        assert len(notes.granted_sets) == 1
    assert notes.finals == ["alpha", "bravo", "charlie", "delta"]
    assert notes.links == []


async def test_nobody_is_doubted_while_we_hold_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The outbox is full in mid-utterance for longer than a server may be silent: it is kept, and nothing is lost."""
    monkeypatch.setattr("bot.links.transcriber.answers.OPEN_ALLOWANCE_S", 0.2)
    server, is_full = ScriptedTranscriber(), False
    async with scripted_transcriber(server), running_lane(server.url, holds_back=lambda: is_full) as (lane, notes):
        lane.append(CLEAR)
        await eventually(lambda: len(server.heard.get(0, ())) == len(CLEAR))
        is_full = True
        lane.append(CLEAR)
        lane.end_utterance()
        await asyncio.sleep(1.2)
        is_full = False
        await asyncio.wait_for(lane.settled(), 10)
    assert notes.finals == ["64000 samples"]
    assert notes.links == []
    assert server.connections == 1


async def test_a_model_that_hangs_is_left_and_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our transcriber answers pings all the while: the second one takes over, and the first is back with its model."""
    monkeypatch.setattr("bot.links.transcriber.servers.MIN_PROBE_S", 0.5)
    hung, works = ScriptedEngine(), ScriptedEngine()
    async with serving(hung) as gpu, serving(works) as cpu, running_lane(gpu.url, cpu.url) as (lane, notes):
        say(lane, tone("alpha"))
        await lane.settled()
        hung.go.clear()
        say(lane, tone("bravo"))
        await lane.settled()
        assert notes.links == [False, True]
        assert [len(engine.windows) > 0 for engine in (hung, works)] == [True, True]
        hung.go.set()
        await eventually(lambda: len(notes.granted_sets) == 3)
        works.go.clear()
        say(lane, tone("charlie"))
        await lane.settled()
        works.go.set()
    assert notes.finals == ["alpha", "bravo", "charlie"]


async def test_a_line_on_which_nothing_comes_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even pongs: the next server takes over long before an answer would be due."""
    monkeypatch.setattr("bot.links.transcriber.conversation.ANSWER_TIMEOUT_S", 60.0)
    monkeypatch.setattr("bot.links.transcriber.dialing.PING_INTERVAL_S", 0.2)
    monkeypatch.setattr("bot.links.transcriber.dialing.SILENT_LINE_S", 0.6)
    frozen, works = ScriptedTranscriber(), ScriptedTranscriber()
    async with (
        scripted_transcriber(frozen),
        scripted_transcriber(works),
        running_lane(frozen.url, works.url) as (lane, notes),
    ):
        lane.append(COUGH)
        await eventually(lambda: 0 in frozen.heard)
        frozen.freeze()
        lane.append(COUGH)
        lane.end_utterance()
        await lane.settled()
        assert np.array_equal(works.heard[0], np.concatenate([COUGH, COUGH]))
        frozen.thaw()
    assert "no sign of life" in notes.health[0][1]
    assert notes.finals == ["16000 samples"]
