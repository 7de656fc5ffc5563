"""One connection of one lane, without I/O: what to send next, and what the answers mean on the lane's clock.

With our transcriber the end of an utterance is said and acknowledgements come back. A stock WhisperLive server knows
neither: it hears an utterance end as silence (streamed faster than real time), and what it decided is derived from its
completed segments, or from the time it has had.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from bot.audio.ledger import Ledger
from bot.audio.replay import SAMPLE_RATE, Replay
from transcriber.protocol import (
    Acked,
    ClientProtocol,
    Disconnected,
    Handshake,
    Ready,
    Refused,
    Segments,
    Wait,
    Warned,
    WireSegment,
)

EXTENSIONS = frozenset({"int16", "utterance", "ack", "resume", "segment_id", "segment_language"})
"""With `segment_id` a server sends each segment once; the id itself is not needed here: ours is made at the onset."""
FRAME = SAMPLE_RATE // 10
"""Samples in one message: 100 ms."""
STOCK_SILENCE = 3 * SAMPLE_RATE
"""Samples of silence after which a stock server has made up its mind about an utterance."""
STOCK_TAIL = SAMPLE_RATE // 2
"""A completed segment that ends this close (samples) to the end of the utterance decides all of it."""
STOCK_PATIENCE = 6.0
"""Seconds after the silence until an utterance without a completed segment counts as decided: it had no words."""


@dataclass(frozen=True, slots=True)
class LaneText:
    """A segment, its bounds in samples on the lane's clock."""

    start: int
    end: int
    wire: WireSegment


@dataclass(frozen=True, slots=True)
class LaneDecided:
    """Everything on the lane before this sample is decided."""

    sample: int


LaneNews: TypeAlias = LaneText | LaneDecided | Ready | Wait | Refused | Warned | Disconnected


class LaneSession:
    """The life of one connection.

    Args:
        replay: The lane's undecided audio; sending starts at its first sample.
        handshake: Who we are; its `resume` should name `replay.start`.
    """

    def __init__(self, replay: Replay, handshake: Handshake) -> None:
        self._replay = replay
        self._protocol = ClientProtocol(handshake)
        self._cursor = replay.start  # next lane sample to send
        self._clock: Ledger[int | None] = (
            Ledger()
        )  # server samples → lane samples; the tag of silence is its utterance's end
        self._silence = 0  # samples of silence still to send
        self._end: int | None = None  # lane sample of the last utterance end told and not yet decided
        self._told_at = 0.0

    @property
    def ready(self) -> bool:
        """The server takes audio."""
        return self._protocol.ready

    def hello(self) -> str:
        """The first message."""
        return self._protocol.hello()

    def next_message(self, now: float) -> tuple[str | bytes, int] | None:
        """The next message and the samples it holds (an end of utterance holds none); None: all is sent."""
        if self._silence:
            count = min(self._silence, FRAME)
            self._silence -= count
            self._clock.note(count, self._cursor, self._cursor)
            if not self._silence:
                self._told_at = now
            return self._protocol.audio(np.zeros(count, np.int16)), count
        self._cursor = max(self._cursor, self._replay.start)  # what was dropped meanwhile is not there to be sent
        if self._replay.ends_at(self._cursor) and self._end != self._cursor:
            return self._tell_end(now)
        pcm = self._replay.read(self._cursor, FRAME)
        if len(pcm):
            self._clock.note(len(pcm), self._cursor, None)
            self._cursor += len(pcm)
            return self._protocol.audio(pcm), len(pcm)
        return None

    def receive(self, message: str | bytes) -> Iterator[LaneNews]:
        """What a message of the server means. Raises ProtocolError for a malformed one."""
        for event in self._protocol.receive(message):
            match event:
                case Ready():
                    self._clock = Ledger(self._protocol.clock_start)
                    yield event
                case Segments(segments):
                    for segment in segments:
                        yield from self._text(segment)
                case Acked(sample):
                    yield from self._decide(self._lane(sample))
                case Wait() | Refused() | Warned() | Disconnected():
                    yield event

    def due(self, now: float) -> Iterator[LaneNews]:
        """What a stock server's silence means by now."""
        waits = self._end is not None and not self._silence and "ack" not in self._protocol.granted
        if waits and now - self._told_at >= STOCK_PATIENCE:
            yield from self._decide(self._end)

    def _tell_end(self, now: float) -> tuple[str | bytes, int] | None:
        self._end, self._told_at = self._cursor, now
        if "utterance" in self._protocol.granted:
            return self._protocol.end_utterance(self._protocol.sent_until), 0
        self._silence = STOCK_SILENCE
        return self.next_message(now)

    def _text(self, wire: WireSegment) -> Iterator[LaneNews]:
        start, end = self._lane(round(wire.start * SAMPLE_RATE)), self._lane(round(wire.end * SAMPLE_RATE))
        if start is None or end is None:
            return  # text before any audio
        yield LaneText(start, max(end, start), wire)
        if wire.completed and "ack" not in self._protocol.granted:
            reaches_end = self._end is not None and self._end - STOCK_TAIL <= end <= self._end
            yield from self._decide(self._end if reaches_end else end)

    def _decide(self, sample: int | None) -> Iterator[LaneNews]:
        if sample is None or sample <= self._replay.start:
            return
        if self._end is not None and sample >= self._end:
            self._end = None
        self._replay.decided(min(sample, self._cursor))
        yield LaneDecided(sample)

    def _lane(self, server_sample: int) -> int | None:
        place = self._clock.locate(server_sample)
        if place is None:
            return None
        return place.origin if place.tag is None else place.tag
