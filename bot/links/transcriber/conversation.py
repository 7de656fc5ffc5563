"""A lane's conversation on one connection, without I/O: what to send next, what answers mean on the lane's clock.

With our transcriber the end of an utterance is said and acknowledgements come back. A stock WhisperLive server knows
neither: it hears an utterance end as silence (streamed faster than real time), and what it decided is derived from its
completed segments, from what it leaves behind, or from the time it has had. It sends completed segments again and
again, and never completes one whose text equals that of the one before: such a text is completed here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from bot.audio.replay import Replay
from bot.audio.sample_map import SampleMap
from common.audio.pcm import SAMPLE_RATE
from common.whisperlive.protocol import (
    Acked,
    ClientProtocol,
    Disconnected,
    Handshake,
    ProtocolError,
    Ready,
    Refused,
    Segments,
    Wait,
    Warned,
    WireSegment,
    WireWord,
)

EXTENSIONS = frozenset({"int16", "utterance", "ack", "resume", "segment_id", "segment_language", "stable_len"})
"""With `segment_id` a server sends each segment once; the id itself is not needed here: ours is made at the onset."""
MESSAGE_SAMPLES = SAMPLE_RATE // 10
"""Samples in one message: 100 ms."""
MAX_LEAD_S = 30.0
"""A model pads its window with silence to this length (seconds): so far may a segment end beyond what was sent."""
STOCK_SILENCE_SAMPLES = 3 * SAMPLE_RATE
"""Samples of silence after which a stock server has made up its mind about an utterance."""
STOCK_TAIL_SAMPLES = SAMPLE_RATE // 2
"""A completed segment that ends this close (samples) to the end of the utterance decides all of it."""
STOCK_DECISION_TIMEOUT_S = 6.0
"""Seconds after the silence, or after the last partial, until an utterance without a final counts as decided."""
STOCK_OVERLAP_S = 0.1
"""Seconds by which a partial may reach back into the one before that the server has left behind."""


@dataclass(frozen=True, slots=True)
class LaneText:
    """A segment, its bounds in samples on the lane's clock."""

    start: int
    end: int
    wire: WireSegment
    words: tuple[WireWord, ...] = ()
    """Its words, their times in seconds on the lane's clock."""

    @property
    def middle(self) -> int:
        """Where it mostly is."""
        return (self.start + self.end) // 2


@dataclass(frozen=True, slots=True)
class LaneDecided:
    """Everything on the lane before this sample is decided."""

    sample: int


LaneNews: TypeAlias = LaneText | LaneDecided | Ready | Wait | Refused | Warned | Disconnected


class Conversation:
    """The life of one connection.

    Args:
        replay: The lane's undecided audio; sending starts at its first sample.
        handshake: Who we are; its `resume` should name `replay.start`.
    """

    def __init__(self, replay: Replay, handshake: Handshake) -> None:
        self._replay = replay
        self._protocol = ClientProtocol(handshake)
        self._cursor = replay.start  # next lane sample to send
        self._clock: SampleMap[None] = SampleMap()  # server samples → lane samples
        self._silence = 0  # samples of silence still to send
        self._ends: deque[int] = deque()  # lane samples of ends told and not yet decided; bounded by the replay
        self._told_at = 0.0
        self._decided = replay.start
        self._strays = 0  # segments about audio that is forgotten or was never sent
        # of a stock server:
        self._completed_until = 0.0  # server seconds: completed segments that end before are repetitions
        self._partial: LaneText | None = None  # its last one, not completed since
        self._seen = 0  # times in a row with the same text
        self._partial_came = False  # since `due` looked

    @property
    def ready(self) -> bool:
        """The server takes audio."""
        return self._protocol.ready

    @property
    def granted(self) -> frozenset[str]:
        """The extensions that the server grants, known once ready."""
        return self._protocol.granted

    def hello(self) -> str:
        """The first message."""
        return self._protocol.hello()

    def next_message(self, now: float) -> tuple[str | bytes, int] | None:
        """The next message and the samples it holds (an end of utterance holds none); None: all is sent."""
        if self._silence:
            count = min(self._silence, MESSAGE_SAMPLES)
            self._silence -= count
            self._clock.note_silence(count, self._cursor - 1, None)
            if not self._silence:
                self._told_at = now
            return self._protocol.audio(np.zeros(count, np.int16)), count
        self._cursor = max(self._cursor, self._replay.start)  # what was dropped meanwhile is not there to be sent
        if self._replay.ends_at(self._cursor) and self._cursor not in self._ends:
            return self._tell_end(now)
        pcm = self._replay.read(self._cursor, MESSAGE_SAMPLES)
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
                    self._clock = SampleMap(self._protocol.clock_start)
                    yield event
                case Segments(segments):
                    self._check_times(segments)
                    strays = self._strays
                    yield from self._texts(segments) if self._is_exact else self._stock(segments)
                    if self._strays > strays:
                        yield Warned("text about audio that it was not sent, or has decided: dropped")
                case Acked(sample):
                    yield from self._decide(self._lane(sample - 1) + 1 if len(self._clock) else None)
                case Wait() | Refused() | Warned() | Disconnected():
                    yield event

    def due(self, now: float) -> Iterator[LaneNews]:
        """What a stock server's silence means by now."""
        if not self._ends or self._silence or self._is_exact:
            return
        if self._partial_came:
            self._partial_came, self._told_at = False, now
        if now - self._told_at >= STOCK_DECISION_TIMEOUT_S:
            yield from self._complete_partial()
            if self._ends:
                yield from self._decide(self._ends[-1])

    def _tell_end(self, now: float) -> tuple[str | bytes, int] | None:
        self._ends.append(self._cursor)
        self._told_at = now
        if "utterance" in self._protocol.granted:
            return self._protocol.end_utterance(self._protocol.sent_until), 0
        self._silence = STOCK_SILENCE_SAMPLES
        return self.next_message(now)

    def _check_times(self, segments: Sequence[WireSegment]) -> None:
        """A time that has not come yet is nonsense, and would make repetitions of all that follows."""
        sent = self._protocol.sent_until / SAMPLE_RATE
        for segment in segments:
            if segment.end > sent + MAX_LEAD_S:
                raise ProtocolError(f"a segment ends at {segment.end:g} s, and {sent:g} s of audio were sent")

    def _texts(self, segments: Sequence[WireSegment]) -> Iterator[LaneText]:
        for wire in segments:
            first, last = round(wire.start * SAMPLE_RATE), round(wire.end * SAMPLE_RATE)
            # Times of ours are exact, and others may have spoken before. A stock server's reach beyond what there is.
            middle = (first + min(last, self._protocol.sent_until)) // 2
            known = self._clock.locate(middle) if self._is_exact else self._clock.covers(first, last)
            if not known:
                self._strays += 1
                continue
            start, end = self._lane(first), self._lane(last - 1) + 1
            if not self._is_exact and end > self._decided:
                start = max(start, self._decided)  # its segment begins where the one before ended, decided or not
            yield LaneText(start, max(end, start), wire, tuple(self._on_lane(word) for word in wire.words or ()))

    def _stock(self, segments: Sequence[WireSegment]) -> Iterator[LaneNews]:
        """The last completed segments again, new ones, and at most one partial."""
        last = segments[-1]
        completed = [segment for segment in segments if segment.completed and segment.end > self._completed_until]
        for text in self._texts(completed):
            self._partial, self._completed_until = None, text.wire.end
            yield text
            yield from self._decide_up_to(text.end, None if last.completed else last)
        if last.completed:
            yield from self._complete_partial()  # if it is still there
        else:
            for text in self._texts([last]):
                yield from self._follow(text)
                yield text

    def _follow(self, partial: LaneText) -> Iterator[LaneNews]:
        """Keeps the last partial in mind; completes the one before if the server has moved on without doing so."""
        before = self._partial
        if before and partial.wire.start >= before.wire.end - STOCK_OVERLAP_S:
            yield from self._complete_partial()
        same = before is not None and before.wire.text.strip() == partial.wire.text.strip()
        self._partial, self._seen = partial, self._seen + 1 if same else 1
        self._partial_came = True

    def _complete_partial(self) -> Iterator[LaneNews]:
        """What a stock server showed as often as it takes, it would have completed, had it not been a repetition."""
        partial = self._partial
        if partial and self._seen > self._protocol.handshake.same_output_threshold:
            self._partial, self._completed_until = None, partial.wire.end
            yield LaneText(partial.start, partial.end, replace(partial.wire, completed=True))
            yield from self._decide_up_to(partial.end, None)

    def _decide_up_to(self, sample: int, following: WireSegment | None) -> Iterator[LaneDecided]:
        """Everything before a completed segment's end; all of the utterance if that ends there with nothing left."""
        end = next((end for end in self._ends if end - STOCK_TAIL_SAMPLES <= sample <= end), None)
        left = next(self._texts([following]), None) if following else None
        yield from self._decide(sample if end is None or (left and left.middle < end) else end)

    def _decide(self, sample: int | None) -> Iterator[LaneDecided]:
        if sample is None or sample <= self._replay.start:
            return
        while self._ends and self._ends[0] <= sample:
            self._ends.popleft()
        self._clock.forget_origins(self._decided)  # text about the audio since the last decision may still come
        self._decided = sample
        self._replay.decided(min(sample, self._cursor))
        yield LaneDecided(sample)

    @property
    def _is_exact(self) -> bool:
        """The server says what it has decided: one of ours."""
        return "ack" in self._protocol.granted

    def _lane(self, server_sample: int) -> int:
        """The lane sample of the nearest one known; there must be one."""
        place = self._clock.locate(self._clock.clamp(server_sample))
        assert place is not None
        return place.origin

    def _on_lane(self, word: WireWord) -> WireWord:
        start, end = (round(time * SAMPLE_RATE) for time in (word.start, word.end))
        start, end = self._lane(start), self._lane(end - 1) + 1
        return replace(word, start=start / SAMPLE_RATE, end=max(end, start) / SAMPLE_RATE)
