"""One connection of a lane, against the server's side of the wire format and against a stock server's messages."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from bot.audio.replay import SAMPLE_RATE, Replay
from bot.links.lane_session import (
    EXTENSIONS,
    FRAME,
    STOCK_PATIENCE,
    STOCK_SILENCE,
    LaneDecided,
    LaneNews,
    LaneSession,
    LaneText,
)
from transcriber.protocol import (
    Audio,
    Handshake,
    ProtocolError,
    Ready,
    Refused,
    Resume,
    ServerProtocol,
    UtteranceEnd,
    Wait,
    WireSegment,
)


def ramp(length: int) -> NDArray[np.int16]:
    """Samples that say their own position."""
    return (np.arange(length) % 30000).astype(np.int16)


@dataclass
class Wire:
    """A session and the server's side, message by message."""

    replay: Replay
    offered: frozenset[str] = EXTENSIONS
    resume: int = 0
    heard: list[Audio | UtteranceEnd] = field(default_factory=list)
    news: list[LaneNews] = field(default_factory=list)

    def __post_init__(self) -> None:
        resume = Resume("before", self.resume) if self.resume else None
        self.session = LaneSession(self.replay, Handshake("u", extensions=EXTENSIONS, resume=resume))
        self.server = ServerProtocol(self.offered)
        self.server.receive(self.session.hello())
        self.say(*self.server.ready())

    def say(self, *messages: str) -> None:
        """The server sends."""
        for message in messages:
            self.news += self.session.receive(message)

    def pump(self, now: float = 0.0) -> None:
        """The session sends all it has."""
        while (message := self.session.next_message(now)) is not None:
            for event in self.server.receive(message[0]):
                assert isinstance(event, Audio | UtteranceEnd)
                self.heard.append(event)

    @property
    def samples(self) -> NDArray[np.int16]:
        """All audio that the server heard."""
        return np.concatenate([event.samples for event in self.heard if isinstance(event, Audio)] or [ramp(0)])


def segment(start: float, end: float, text: str = " hi", completed: bool = True) -> WireSegment:
    """One segment in seconds."""
    return WireSegment(start, end, text, completed)


def test_an_utterance_goes_out_in_frames_and_its_end_is_said_once() -> None:
    """Audio in messages of at most 100 ms, bit-exact; then the end, at the right sample."""
    replay = Replay()
    wire = Wire(replay)
    replay.append(ramp(4000))
    replay.mark_end()
    wire.pump()
    wire.pump()
    assert np.array_equal(wire.samples, ramp(4000))
    assert all(len(event.samples) <= FRAME for event in wire.heard if isinstance(event, Audio))
    assert [event.sample for event in wire.heard if isinstance(event, UtteranceEnd)] == [4000]
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
    assert len(wire.samples) == 60 * SAMPLE_RATE
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
    assert len(wire.samples) == SAMPLE_RATE + STOCK_SILENCE
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
    assert list(wire.session.due(10.0 + STOCK_PATIENCE - 0.1)) == []
    assert list(wire.session.due(10.0 + STOCK_PATIENCE)) == [LaneDecided(1600)]
    assert list(wire.session.due(100.0)) == []


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
    assert len(wire.news) == 3
    with pytest.raises(ProtocolError):
        wire.say("{")
