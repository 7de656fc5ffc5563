"""What a connection remembers of its clock: bounded, and nobody's where it does not know."""

from __future__ import annotations

import json

import pytest

from bot.audio.replay import Replay
from bot.links.transcriber.conversation import EXTENSIONS, STOCK_SILENCE_SAMPLES, LaneDecided, LaneText
from common.audio.pcm import SAMPLE_RATE
from common.whisperlive.protocol import UtteranceEnd, Warned
from tests.support.wire import Wire, finals, hears, ramp, segment, stock


def test_the_end_of_an_utterance_whose_audio_was_dropped_is_still_told() -> None:
    """What the server has heard of it must not be taken for the beginning of the next; where it heard none, no end."""
    replay = Replay()
    wire = Wire(replay)
    replay.append(ramp(4000))
    wire.pump()
    replay.append(ramp(4000))
    replay.mark_end()
    replay.append(ramp(4000))
    replay.drop(9000)
    replay.mark_end()
    wire.pump()
    told = [event.sample if isinstance(event, UtteranceEnd) else len(event.samples) for event in wire.heard]
    assert told == [1600, 1600, 800, 4000, 1600, 1400, 7000]
    wire.say(*wire.server.acked(4000), *wire.server.acked(7000))
    assert [news for news in wire.news if isinstance(news, LaneDecided)][-1].sample == 12000
    assert not wire.session._answers.are_owed
    afresh = Wire(replay)
    replay.append(ramp(1000))
    replay.mark_end()
    replay.drop(13000)
    afresh.pump()
    assert afresh.heard == []


@pytest.mark.parametrize("offered", [EXTENSIONS, frozenset()])
def test_a_connection_remembers_a_bounded_number_of_runs(offered: frozenset[str]) -> None:
    """However many utterances it has carried: those that are undecided and the last decided one."""
    replay = Replay()
    wire = Wire(replay, offered=offered)
    for number in range(100):
        replay.append(ramp(8000))
        replay.mark_end()
        wire.pump(float(number))
        end = wire.session._protocol.sent_until / SAMPLE_RATE - (0 if offered else 3)
        if offered:
            wire.say(*wire.server.acked(round(end * SAMPLE_RATE)))
        else:
            wire.say(json.dumps({"uid": "u", "segments": [segment(end - 0.4, end, f" {number}").to_wire()]}))
        assert len(replay) == 0
        assert len(wire.session._clock) <= 4


def test_text_about_what_is_long_decided_is_dropped_and_counted() -> None:
    """Never clamped into what is said now; what reaches beyond the audio that was sent is clamped on a stock server."""
    wire = stock(1.0)
    wire.say(json.dumps({"uid": "u", "segments": [segment(0.1, 1.0).to_wire()]}))
    for length in (1.0, 1.0):
        wire.replay.append(ramp(int(length * SAMPLE_RATE)))
        wire.replay.mark_end()
        wire.pump()
        end = wire.session._protocol.sent_until / SAMPLE_RATE - 3
        wire.say(json.dumps({"uid": "u", "segments": [segment(end - 0.9, end).to_wire()]}))
    assert len(wire.replay) == 0
    texts = sum(isinstance(news, LaneText) for news in wire.news)
    wire.say(json.dumps({"uid": "u", "segments": [segment(0.1, 0.9, " late", completed=False).to_wire()]}))
    assert isinstance(wire.news[-1], Warned)
    assert sum(isinstance(news, LaneText) for news in wire.news) == texts


def test_a_server_that_was_quicker_than_the_end_owes_nothing() -> None:
    """It completes all that was said before the gate knows that nobody goes on: the end is told, and it is not mute."""
    replay = Replay()
    wire = Wire(replay, offered=frozenset())
    replay.append(ramp(2 * SAMPLE_RATE))
    wire.pump()
    assert LaneDecided(2 * SAMPLE_RATE) in hears(wire, segment(0.0, 2.0))
    replay.mark_end()
    wire.pump(2.5)
    assert len(wire.samples) == 2 * SAMPLE_RATE + STOCK_SILENCE_SAMPLES
    assert wire.session.is_between_utterances
    assert wire.due(60.0) == []


def test_a_server_that_says_twice_that_it_is_ready_keeps_its_clock() -> None:
    """Else what it says about the second utterance would be taken for the first one's."""
    wire = stock(1)
    wire.say(json.dumps({"uid": "u", "message": "SERVER_READY", "backend": "b"}))
    hears(wire, segment(0.0, 0.9))
    wire.replay.append(ramp(SAMPLE_RATE))
    wire.replay.mark_end()
    wire.pump()
    assert finals(hears(wire, segment(0.0, 0.9), segment(4.0, 4.9, " more"))) == [
        (SAMPLE_RATE, 2 * SAMPLE_RATE - 1600, " more")
    ]
