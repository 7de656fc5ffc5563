"""One connection of a lane, against the server's side of the wire format and against a stock server's messages."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from bot.audio.replay import Replay
from bot.links.transcriber.answers import CLEAR_SPEECH_SAMPLES, OPEN_ALLOWANCE_S
from bot.links.transcriber.conversation import (
    ANSWER_TIMEOUT_S,
    EXTENSIONS,
    MAX_LEAD_S,
    MAX_UNDECIDED_SAMPLES,
    MESSAGE_SAMPLES,
    STOCK_DECISION_TIMEOUT_S,
    STOCK_MAX_UNDECIDED_SAMPLES,
    STOCK_SILENCE_SAMPLES,
    LaneDecided,
    LaneText,
    Unanswered,
)
from common.audio.pcm import SAMPLE_RATE
from common.whisperlive.protocol import (
    Audio,
    ProtocolError,
    Ready,
    Refused,
    UtteranceEnd,
    Wait,
    Warned,
    WireWord,
)
from tests.support.wire import THRESHOLD, Wire, finals, hears, ramp, segment, stock


def test_an_utterance_goes_out_in_frames_and_its_end_is_said_once() -> None:
    """Audio in messages of at most 100 ms, bit-exact; then the end, at the right sample."""
    replay = Replay()
    wire = Wire(replay)
    assert not Wire(Replay()).session.was_used
    replay.append(ramp(4000))
    replay.mark_end()
    wire.pump()
    wire.pump()
    assert wire.session.was_used
    assert np.array_equal(wire.samples, ramp(4000))
    assert wire.session.sent_until == 4000
    assert all(len(event.samples) <= MESSAGE_SAMPLES for event in wire.heard if isinstance(event, Audio))
    assert [event.sample for event in wire.heard if isinstance(event, UtteranceEnd)] == [4000]
    assert wire.session.sent_until == 4000
    assert wire.session.next_message(0) is None


def test_two_utterances_are_told_apart() -> None:
    """No frame reaches across the end of an utterance."""
    replay = Replay()
    wire = Wire(replay)
    for _ in range(2):
        replay.append(ramp(2000))
        replay.mark_end()
    wire.pump()
    kinds = ["end" if isinstance(event, UtteranceEnd) else len(event.samples) for event in wire.heard]
    assert kinds == [1600, 400, "end", 1600, 400, "end"]


def test_text_and_decisions_come_on_the_lanes_clock() -> None:
    """Seconds of the server become lane samples, and an acknowledgement frees the replay buffer."""
    replay = Replay()
    wire = Wire(replay)
    replay.append(ramp(SAMPLE_RATE))
    replay.mark_end()
    wire.pump()
    wire.say(*wire.server.segments([segment(0.25, 0.75)]), *wire.server.acked(SAMPLE_RATE))
    text, decided = wire.news[-2:]
    assert isinstance(text, LaneText)
    assert (text.start, text.end) == (4000, 12000)
    assert decided == LaneDecided(SAMPLE_RATE)
    assert len(replay) == 0
    wire.say(*wire.server.acked(SAMPLE_RATE))
    assert wire.news[-1] == LaneDecided(SAMPLE_RATE)
    assert len(wire.news) == 3


def test_a_new_connection_sends_what_is_undecided_and_keeps_the_clock() -> None:
    """After a break the same lane times come back for the same audio, and the end is said again."""
    replay = Replay()
    replay.append(ramp(8000))
    replay.mark_end()
    first = Wire(replay)
    first.pump()
    first.say(*first.server.acked(3000))
    second = Wire(replay, resume=replay.start)
    second.pump()
    assert np.array_equal(second.samples, ramp(8000)[3000:])
    assert [event.sample for event in second.heard if isinstance(event, UtteranceEnd)] == [8000]
    second.say(*second.server.segments([segment(0.25, 0.5)]))
    text = second.news[-1]
    assert isinstance(text, LaneText)
    assert (text.start, text.end) == (4000, 8000)


def test_dropped_audio_is_not_sent() -> None:
    """What fell out of the full buffer before it could be sent is skipped, and what remains maps exactly."""
    replay = Replay()
    wire = Wire(replay)
    for _ in range(61):
        replay.append(ramp(SAMPLE_RATE))
    wire.pump()
    assert len(wire.samples) == MAX_UNDECIDED_SAMPLES
    wire.say(*wire.server.segments([segment(0.0, 1.0)]))
    text = wire.news[-1]
    assert isinstance(text, LaneText)
    assert text.start == SAMPLE_RATE


def test_a_server_without_extensions_hears_silence_after_an_utterance() -> None:
    """Float frames, three seconds of zeros instead of control messages, and times that skip them."""
    replay = Replay()
    wire = Wire(replay, offered=frozenset())
    replay.append(ramp(SAMPLE_RATE))
    replay.mark_end()
    wire.pump()
    assert len(wire.samples) == SAMPLE_RATE + STOCK_SILENCE_SAMPLES
    assert not wire.samples[SAMPLE_RATE:].any()
    wire.say(json.dumps({"uid": "u", "segments": [segment(0.1, 0.9, completed=False).to_wire()]}))
    assert len(replay) == SAMPLE_RATE
    wire.say(json.dumps({"uid": "u", "segments": [segment(0.1, 1.4).to_wire()]}))
    text, decided = wire.news[-2:]
    assert isinstance(text, LaneText)
    assert (text.start, text.end) == (1600, SAMPLE_RATE)
    assert decided == LaneDecided(SAMPLE_RATE)
    replay.append(ramp(1600))
    wire.pump()
    wire.say(json.dumps({"uid": "u", "segments": [segment(4.05, 4.1).to_wire()]}))
    text = wire.news[-2]
    assert isinstance(text, LaneText)
    assert (text.start, text.end) == (SAMPLE_RATE + 800, SAMPLE_RATE + 1600)


def test_a_stock_server_that_finds_no_words_has_its_time() -> None:
    """Noise is decided by patience, and only once."""
    replay = Replay()
    wire = Wire(replay, offered=frozenset())
    replay.append(ramp(1600))
    replay.mark_end()
    wire.pump(now=10.0)
    assert wire.due(10.0 + STOCK_DECISION_TIMEOUT_S) == []
    assert wire.due(10.1 + STOCK_DECISION_TIMEOUT_S) == [LaneDecided(1600, assumed=True)]
    assert wire.due(100.0) == []


def test_an_early_segment_of_a_stock_server_decides_only_its_own_part() -> None:
    """A completed segment in the middle frees the audio before its end."""
    replay = Replay()
    wire = Wire(replay, offered=frozenset())
    replay.append(ramp(2 * SAMPLE_RATE))
    replay.mark_end()
    wire.pump()
    wire.say(json.dumps({"uid": "u", "segments": [segment(0.0, 0.5).to_wire()]}))
    assert wire.news[-1] == LaneDecided(8000)
    assert (replay.start, len(replay)) == (8000, 2 * SAMPLE_RATE - 8000)


def test_other_news_pass_through_and_nonsense_raises() -> None:
    """Ready, full and refused reach the caller; text before any audio is nobody's; a bad message is an error."""
    wire = Wire(Replay())
    assert isinstance(wire.news[0], Ready)
    assert wire.session.ready
    wire.say(wire.server.wait(2.0), wire.server.refuse("no"))
    assert wire.news[1:] == [Wait(2.0), Refused("no")]
    wire.say(*wire.server.segments([segment(0, 1)]), *wire.server.acked(5))
    assert [type(news) for news in wire.news[3:]] == [Warned]
    with pytest.raises(ProtocolError):
        wire.say("{")


@pytest.mark.parametrize("offered", [EXTENSIONS, frozenset()])
def test_a_segment_of_the_future_is_malformed(offered: frozenset[str]) -> None:
    """A window padded with silence is what models know; beyond it nothing a server says of times can be believed."""
    replay = Replay()
    wire = Wire(replay, offered=offered)
    replay.append(ramp(SAMPLE_RATE))
    wire.pump()
    wire.say(json.dumps({"uid": "u", "segments": [segment(0.1, 1.0 + MAX_LEAD_S).to_wire()]}))
    assert any(isinstance(news, LaneText) for news in wire.news)
    with pytest.raises(ProtocolError, match="1 s of audio"):
        wire.say(json.dumps({"uid": "u", "segments": [segment(0.1, 1.1 + MAX_LEAD_S).to_wire()]}))


@pytest.mark.parametrize("times", [(1e305, 1e305), (0.1, 1e305), (1.1 + MAX_LEAD_S, 0.2)])
@pytest.mark.parametrize("offered", [EXTENSIONS, frozenset()])
def test_a_word_of_the_future_is_malformed(offered: frozenset[str], times: tuple[float, float]) -> None:
    """Its segment's times may be right: the connection is given up, and not the lane."""
    replay = Replay()
    wire = Wire(replay, offered=offered)
    replay.append(ramp(SAMPLE_RATE))
    wire.pump()
    spoilt = replace(segment(0.1, 0.9), words=(WireWord("hi", *times, 0.9),))
    with pytest.raises(ProtocolError, match="a word is at"):
        wire.say(json.dumps({"uid": "u", "segments": [spoilt.to_wire()]}))


def test_what_a_stock_server_says_again_is_no_news() -> None:
    """Its last completed segments come with every message."""
    wire = stock(1)
    first = segment(0.1, 0.9)
    assert finals(hears(wire, first)) == [(1600, 14400, " hi")]
    assert hears(wire, first) == []
    wire.replay.append(ramp(SAMPLE_RATE))
    wire.pump()
    second = segment(4.2, 4.6, " there")
    assert finals(hears(wire, first, second)) == [(SAMPLE_RATE + 3200, SAMPLE_RATE + 9600, " there")]


def test_a_stock_servers_segment_begins_no_earlier_than_what_is_decided() -> None:
    """It starts where the one before ended, silence included, which would give a short word to the wrong utterance."""
    wire = stock(1, 1)
    hears(wire, segment(0.0, 0.8))
    assert finals(hears(wire, segment(0.8, 4.3, " no"))) == [(SAMPLE_RATE, SAMPLE_RATE + 4800, " no")]


def test_a_segment_at_the_end_does_not_decide_what_a_partial_still_holds() -> None:
    """The last short word is not given up because the sentence before it ended close to the end."""
    wire = stock(2)
    news = hears(wire, segment(0.0, 1.6, " are you"), segment(1.6, 1.9, " ready", completed=False))
    assert [n for n in news if isinstance(n, LaneDecided)] == [LaneDecided(25600)]
    news = hears(wire, segment(0.0, 1.6, " are you"), segment(1.6, 1.9, " ready"))
    assert finals(news) == [(25600, 30400, " ready")]
    assert news[-1] == LaneDecided(2 * SAMPLE_RATE)


@pytest.mark.parametrize("how", ["gone", "next", "quiet"])
def test_a_repetition_that_a_stock_server_does_not_complete_is_completed_here(how: str) -> None:
    """Shown as often as it takes, then gone from the message, or passed by, or not heard of any more."""
    wire = stock(1, 1, 1)
    wire.now = 10.0
    done, again = segment(0.0, 0.9), segment(4.0, 4.9, completed=False)
    hears(wire, done)
    for _ in range(THRESHOLD + 1):
        assert finals(hears(wire, done, again)) == []
    match how:
        case "gone":
            news = hears(wire, done)
        case "next":
            news = hears(wire, done, segment(4.85, 8.5, " more", completed=False))
        case _:
            assert wire.due(10.0) == []
            news = wire.due(10.0 + STOCK_DECISION_TIMEOUT_S)
    assert finals(news) == [(SAMPLE_RATE, SAMPLE_RATE + 14400, " hi")]
    assert LaneDecided(2 * SAMPLE_RATE) in news


def test_words_have_their_times_on_the_lanes_clock() -> None:
    """Without the silence that a stock server was sent between utterances, and never before their own start."""
    wire = stock(1, 1)
    hears(wire, segment(0.0, 0.9))
    words = (WireWord(" a", 4.25, 4.5, 0.9), WireWord(" b", 4.5, 4.5))
    [text, _] = hears(wire, replace(segment(4.2, 4.6, " a b"), words=words))
    assert isinstance(text, LaneText)
    assert text.words == (WireWord(" a", 1.25, 1.5, 0.9), WireWord(" b", 1.5, 1.5))


# --- silence is not trusted ----------------------------------------------------------------------------------------


def test_an_acknowledgement_is_due_after_each_utterance() -> None:
    """Silence decides nothing, and is told within ten seconds; text gives more time, an acknowledgement ends it."""
    replay = Replay()
    wire = Wire(replay)
    replay.append(ramp(SAMPLE_RATE))
    replay.mark_end()
    wire.pump(now=1.0)
    assert ANSWER_TIMEOUT_S < 9
    assert wire.due(1.9 + ANSWER_TIMEOUT_S) == []
    assert wire.due(2.1 + ANSWER_TIMEOUT_S) == [Unanswered()]
    assert len(replay) == SAMPLE_RATE
    wire.say(*wire.server.segments([segment(0.1, 0.9, completed=False)]))
    assert wire.due(2.2 + ANSWER_TIMEOUT_S) == []
    wire.say(*wire.server.acked(SAMPLE_RATE))
    assert wire.news[-1] == LaneDecided(SAMPLE_RATE)
    assert isinstance(wire.news[-1], LaneDecided)
    assert wire.news[-1].lag == pytest.approx(1.2 + ANSWER_TIMEOUT_S)
    assert wire.due(1000) == []


@pytest.mark.parametrize("offered", [EXTENSIONS, frozenset()])
def test_speech_that_goes_on_and_on_is_owed_an_answer(offered: frozenset[str]) -> None:
    """A monologue without any text or acknowledgement is as bad as an end without one."""
    replay = Replay()
    wire = Wire(replay, offered=offered)
    replay.append(ramp(SAMPLE_RATE))
    wire.pump()
    patience = wire.session.least_patience
    assert wire.due(OPEN_ALLOWANCE_S + patience - 0.1) == []
    assert wire.due(OPEN_ALLOWANCE_S + patience) == [Unanswered()]


CLEAR_S = CLEAR_SPEECH_SAMPLES / SAMPLE_RATE


def test_a_stock_server_that_says_nothing_to_clear_speech_has_decided_nothing() -> None:
    """The founding failure: silence is not an answer to several utterances."""
    wire = stock(CLEAR_S, CLEAR_S)
    assert wire.due(CLEAR_S + 0.1 + STOCK_DECISION_TIMEOUT_S) == []
    assert wire.due(2 * CLEAR_S + 0.1 + STOCK_DECISION_TIMEOUT_S) == [Unanswered()]
    assert wire.replay.start == 0


def test_later_text_clears_what_came_before() -> None:
    """A clear utterance without text is decided with the next one that has some: the server was listening."""
    wire = stock(CLEAR_S, 1)
    assert wire.due(CLEAR_S + STOCK_DECISION_TIMEOUT_S) == []
    end = CLEAR_S + 3 + 1
    assert hears(wire, segment(end - 0.9, end - 0.1))[-1] == LaneDecided(round((CLEAR_S + 1) * SAMPLE_RATE))


# --- how much is out at once, and the moment between utterances ----------------------------------------------------


def test_no_more_is_sent_than_the_server_holds() -> None:
    """The rest waits here, where nothing is lost, and goes out as decisions come; what is queued there delays pongs."""
    replay = Replay()
    wire = Wire(replay)
    for _ in range(50):
        replay.append(ramp(SAMPLE_RATE))
    wire.pump()
    assert len(wire.samples) == MAX_UNDECIDED_SAMPLES
    wire.say(*wire.server.acked(SAMPLE_RATE))
    wire.pump()
    assert len(wire.samples) == MAX_UNDECIDED_SAMPLES + SAMPLE_RATE


def test_a_stock_server_gets_less_and_silence_counts() -> None:
    """It throws away what is behind by more than 45 s."""
    wire = stock(*[1.0] * 10)
    assert len(wire.samples) <= STOCK_MAX_UNDECIDED_SAMPLES + 4 * SAMPLE_RATE
    sent = len(wire.samples)
    hears(wire, segment(0.0, 0.9))
    wire.pump()
    assert len(wire.samples) == sent + SAMPLE_RATE + STOCK_SILENCE_SAMPLES


def test_between_utterances_nothing_is_said_undecided_or_to_be_sent() -> None:
    """Only then another connection may take over."""
    replay = Replay()
    wire = Wire(replay)
    assert wire.session.granted == EXTENSIONS

    def is_between() -> bool:
        return wire.session.is_between_utterances

    assert is_between()
    replay.append(ramp(1600))
    assert not is_between()
    wire.pump()
    wire.say(*wire.server.acked(1600))
    assert not is_between(), "somebody is speaking"
    replay.append(ramp(1600))
    replay.mark_end()
    wire.pump()
    assert not is_between()
    wire.say(*wire.server.acked(3200))
    assert is_between()


def test_a_decision_about_what_was_dropped_is_an_answer_and_no_news() -> None:
    """The server works; there is nothing left to give up."""
    replay = Replay()
    wire = Wire(replay)
    replay.append(ramp(SAMPLE_RATE))
    replay.mark_end()
    wire.pump()
    for _ in range(60):
        replay.append(ramp(SAMPLE_RATE))
    before = len(wire.news)
    wire.say(*wire.server.acked(SAMPLE_RATE), wire.server.language("en", 0.9))
    assert len(wire.news) == before
    assert wire.due(1000) == []


@pytest.mark.parametrize("offered", [EXTENSIONS, frozenset()])
@pytest.mark.parametrize("ends", [True, False])
def test_a_server_is_not_doubted_for_what_it_was_not_sent(offered: frozenset[str], ends: bool) -> None:
    """While sending is held back its silence means nothing; afterwards it has its whole time again, and no more."""
    replay = Replay()
    wire = Wire(replay, offered=offered)
    replay.append(ramp(6 * SAMPLE_RATE))
    if ends:
        replay.mark_end()
    wire.pump()
    allowance = 0 if ends else OPEN_ALLOWANCE_S
    for now in range(1, 31):
        wire.session.held_back(now)
        assert wire.due(now) == []
    patience = wire.session.least_patience
    assert wire.due(30 + allowance + patience - 0.1) == []
    assert wire.due(30 + allowance + patience) == [Unanswered()]
