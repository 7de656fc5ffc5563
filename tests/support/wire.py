"""A conversation and the server's side of the wire format, message by message, without a socket."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bot.audio.replay import Replay
from bot.links.transcriber.conversation import EXTENSIONS, Conversation, LaneNews, LaneText
from common.audio.pcm import SAMPLE_RATE
from common.whisperlive.protocol import Audio, Handshake, Resume, ServerProtocol, UtteranceEnd, WireSegment

THRESHOLD = 2
"""Identical partials after which a stock server is asked to complete them."""


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
    now: float = 0.0

    def __post_init__(self) -> None:
        resume = Resume("before", self.resume) if self.resume else None
        self.session = Conversation(
            self.replay, Handshake("u", same_output_threshold=THRESHOLD, extensions=EXTENSIONS, resume=resume)
        )
        self.server = ServerProtocol(self.offered)
        self.server.receive(self.session.hello())
        self.say(*self.server.ready())

    def say(self, *messages: str) -> None:
        """The server sends."""
        for message in messages:
            self.news += self.session.receive(message, self.now)

    def due(self, now: float) -> list[LaneNews]:
        """What silence means by then, to a server that is quick otherwise."""
        self.now = now
        return list(self.session.due(now, self.session.least_patience))

    def pump(self, now: float = 0.0) -> None:
        """The session sends all it has."""
        self.now = now
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


def stock(*seconds: float) -> Wire:
    """A stock server that has heard utterances of these lengths, each with its silence."""
    replay = Replay()
    wire = Wire(replay, offered=frozenset())
    for length in seconds:
        replay.append(ramp(int(length * SAMPLE_RATE)))
        replay.mark_end()
    wire.pump()
    return wire


def hears(wire: Wire, *segments: WireSegment) -> list[LaneNews]:
    """What a stock server's message means."""
    before = len(wire.news)
    wire.say(json.dumps({"uid": "u", "segments": [one.to_wire() for one in segments]}))
    return wire.news[before:]


def finals(news: list[LaneNews]) -> list[tuple[int, int, str]]:
    """The completed texts in it."""
    return [(n.start, n.end, n.wire.text) for n in news if isinstance(n, LaneText) and n.wire.completed]
