"""A lane's conversation on one connection, without I/O: what to send next, what answers mean on the lane's clock.

With our transcriber the end of an utterance is said and acknowledgements come back. A stock WhisperLive server knows
neither: it hears an utterance end as silence (streamed faster than real time), and what it decided is derived from its
completed segments, from what it leaves behind, or from the time it has had. It sends completed segments again and
again, and never completes one whose text equals that of the one before: such a text is completed here.

Silence is not trusted (`due`): a server that could acknowledge and does not, or a stock one that says nothing at all to
clear speech, leaves us `Unanswered`, and nothing counts as decided.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from bot.audio.replay import Replay
from bot.audio.sample_map import SampleMap
from bot.links.transcriber.answers import Answers, Verdict
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

EXTENSIONS = frozenset(
    {"int16", "utterance", "ack", "resume", "segment_id", "segment_language", "stable_len", "doubtful"}
)
"""With `segment_id` a server sends each segment once; the id itself is not needed here: ours is made at the onset."""
MESSAGE_SAMPLES = SAMPLE_RATE // 10
"""Samples in one message: 100 ms."""
MAX_LEAD_S = 30.0
"""A model pads its window with silence to this length (seconds): so far may a segment end beyond what was sent."""
MAX_UNDECIDED_SAMPLES = 45 * SAMPLE_RATE
"""Undecided samples that are out at once: our server stops reading at 60 s, and pongs would wait behind the audio."""
STOCK_MAX_UNDECIDED_SAMPLES = 30 * SAMPLE_RATE
"""The same, silence included, for a stock server: it throws away what is behind by more than 45 s."""
STOCK_SILENCE_SAMPLES = 3 * SAMPLE_RATE
"""Samples of silence after which a stock server has made up its mind about an utterance."""
STOCK_TAIL_SAMPLES = SAMPLE_RATE // 2
"""A completed segment that ends this close (samples) to the end of the utterance decides all of it."""
STOCK_OVERLAP_S = 0.1
"""Seconds by which a partial may reach back into the one before that the server has left behind."""

ANSWER_TIMEOUT_S = 7.0
"""Seconds after an utterance until a quick server that acknowledges must have answered."""
STOCK_DECISION_TIMEOUT_S = 7.0
"""Seconds after an utterance, or after the last text, until a quick stock server has nothing more to say."""


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
    assumed: bool = False
    """The server said nothing of it and has had its time: no proof that it works."""
    lag: float | None = field(default=None, compare=False)
    """Seconds from the end of the last utterance before it, if one was told, to the answer."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Speech was sent and nothing came back: this connection is no good, and nothing of it is decided."""


LaneNews: TypeAlias = LaneText | LaneDecided | Unanswered | Ready | Wait | Refused | Warned | Disconnected


class Conversation:
    """The life of one connection.

    Args:
        replay: The lane's undecided audio; sending starts at its first sample.
        handshake: Who we are; its `resume` should name `replay.start`.
    """

    def __init__(self, replay: Replay, handshake: Handshake) -> None:
        self._replay = replay
        self._protocol = ClientProtocol(handshake)
        self._start = self._cursor = replay.start  # next lane sample to send
        self._clock: SampleMap[None] = SampleMap()  # server samples → lane samples
        self._silence = 0  # samples of silence still to send
        self._answers = Answers(replay.start)
        self._decided = replay.start
        self._strays = 0  # segments about audio that is forgotten or was never sent
        # of a stock server:
        self._completed_until = 0.0  # server seconds: completed segments that end before are repetitions
        self._completed_text = ""  # of the last one
        self._partial: LaneText | None = None  # its last one, not completed since
        self._seen = 0  # times in a row with the same text

    @property
    def ready(self) -> bool:
        """The server takes audio."""
        return self._protocol.ready

    @property
    def granted(self) -> frozenset[str]:
        """The extensions that the server granted, once ready."""
        return self._protocol.granted

    @property
    def acknowledges(self) -> bool:
        """The server says itself what is decided."""
        return "ack" in self._protocol.granted

    @property
    def is_between_utterances(self) -> bool:
        """Nothing is being said, undecided or still to be sent: the moment for another connection."""
        return not (len(self._replay) or self._answers.are_owed or self._silence)

    @property
    def was_used(self) -> bool:
        """Speech went out on it."""
        return self._cursor > self._start

    @property
    def sent_until(self) -> int:
        """The lane sample up to which everything was handed out to be sent."""
        return self._cursor

    def hello(self) -> str:
        """The first message."""
        return self._protocol.hello()

    def next_message(self, now: float) -> tuple[str | bytes, int] | None:
        """The next message and the samples it holds (an end of utterance holds none); None: nothing for now."""
        if self._silence:
            return self._send_silence()
        begin = self._replay.start
        if self._replay.ends_at(max(self._cursor, begin)) and self._answers.is_open:
            return self._tell_end(now)
        self._cursor = max(self._cursor, begin)  # what was dropped meanwhile is not there to be sent
        pcm = self._replay.read(self._cursor, MESSAGE_SAMPLES)
        if not len(pcm) or self._is_ahead:
            return None
        self._clock.note(len(pcm), self._cursor, None)
        self._answers.audio(len(pcm), now)
        self._cursor += len(pcm)
        return self._protocol.audio(pcm), len(pcm)

    def receive(self, message: str | bytes, now: float) -> Iterator[LaneNews]:
        """What a message of the server means. Raises ProtocolError for a malformed one."""
        for event in self._protocol.receive(message):
            match event:
                case Ready():
                    if not len(self._clock):  # said again later it changes nothing
                        self._clock = SampleMap(self._protocol.clock_start)
                    yield event
                case Segments(segments):
                    self._check_times(segments)
                    strays = self._strays
                    yield from self._texts(segments, now) if self.acknowledges else self._stock(segments, now)
                    if self._strays > strays:
                        yield Warned("text about audio that it was not sent, or has decided: dropped")
                case Acked(sample):
                    yield from self._decide(self._lane(sample - 1) + 1 if len(self._clock) else None, now)
                case Wait() | Refused() | Warned() | Disconnected():
                    yield event

    def due(self, now: float, patience: float) -> Iterator[LaneNews]:
        """What the server's silence means by now, if it gets `patience` seconds for an answer."""
        if self._answers.is_open_overdue(now, patience):
            yield Unanswered()
        elif not self._silence and (late := self._answers.overdue(now, patience)):
            if self.acknowledges:
                yield Unanswered()
                return
            yield from self._complete_partial(now)
            late = self._answers.overdue(now, patience) or late  # less, if that decided something
            match self._answers.verdict(now, patience):
                case Verdict.WORDLESS:
                    yield from self._decide(late[-1].end, now, assumed=True)
                case Verdict.MUTE:
                    yield Unanswered()

    def held_back(self, now: float) -> None:
        """Nothing is being sent for now, on purpose: the silence of a server that waits for more means nothing."""
        self._answers.excused(now)

    @property
    def least_patience(self) -> float:
        """Seconds that a quick server of this kind gets."""
        return ANSWER_TIMEOUT_S if self.acknowledges else STOCK_DECISION_TIMEOUT_S

    # --- sending ----------------------------------------------------------------------------------------------------

    @property
    def _is_ahead(self) -> bool:
        """More would only wait on the way, or be thrown away there."""
        undecided = self._cursor - self._replay.start
        if self.acknowledges:
            return undecided >= MAX_UNDECIDED_SAMPLES
        return undecided + len(self._answers) * STOCK_SILENCE_SAMPLES >= STOCK_MAX_UNDECIDED_SAMPLES

    def _tell_end(self, now: float) -> tuple[str | bytes, int]:
        self._answers.told(self._cursor, now)
        if self._cursor <= self._decided:  # before its end was known: nothing is owed
            self._answers.decided(self._decided, now)
        if "utterance" in self._protocol.granted:
            return self._protocol.end_utterance(self._protocol.sent_until), 0
        self._silence = STOCK_SILENCE_SAMPLES
        return self._send_silence()

    def _send_silence(self) -> tuple[bytes, int]:
        count = min(self._silence, MESSAGE_SAMPLES)
        self._silence -= count
        self._clock.note_silence(count, self._cursor - 1, None)
        return self._protocol.audio(np.zeros(count, np.int16)), count

    # --- text and decisions -----------------------------------------------------------------------------------------

    def _check_times(self, segments: Sequence[WireSegment]) -> None:
        """A time that has not come yet is nonsense, and would make repetitions of all that follows."""
        sent = self._protocol.sent_until / SAMPLE_RATE
        for segment in segments:
            if segment.end > sent + MAX_LEAD_S:
                raise ProtocolError(f"a segment ends at {segment.end:g} s, and {sent:g} s of audio were sent")
            last = max((max(word.start, word.end) for word in segment.words or ()), default=0.0)
            if last > sent + MAX_LEAD_S:
                raise ProtocolError(f"a word is at {last:g} s, and {sent:g} s of audio were sent")

    def _texts(self, segments: Sequence[WireSegment], now: float) -> Iterator[LaneText]:
        for wire in segments:
            first, last = round(wire.start * SAMPLE_RATE), round(wire.end * SAMPLE_RATE)
            # Times of ours are exact, and others may have spoken before. A stock server's reach beyond what there is.
            middle = (first + min(last, self._protocol.sent_until)) // 2
            known = self._clock.locate(middle) if self.acknowledges else self._clock.covers(first, last)
            if not known:
                self._strays += 1
                continue
            start, end = self._lane(first), self._lane(last - 1) + 1
            if not self.acknowledges and end > self._decided:
                start = max(start, self._decided)  # its segment begins where the one before ended, decided or not
            self._answers.answered(now, end)
            yield LaneText(start, max(end, start), wire, tuple(self._on_lane(word) for word in wire.words or ()))

    def _stock(self, segments: Sequence[WireSegment], now: float) -> Iterator[LaneNews]:
        """The last completed segments again, new ones, and at most one partial."""
        last = segments[-1]
        completed = [segment for segment in segments if segment.completed and segment.end > self._completed_until]
        for text in self._texts(completed, now):
            self._partial, self._completed_until = None, text.wire.end
            self._completed_text = text.wire.text.strip().casefold()
            yield text
            yield from self._decide_up_to(text.end, None if last.completed else last, now)
        if last.completed:
            yield from self._complete_partial(now)  # if it is still there
        else:
            for text in self._texts([last], now):
                yield from self._follow(text, now)
                yield text

    def _follow(self, partial: LaneText, now: float) -> Iterator[LaneNews]:
        """Keeps the last partial in mind; completes the one before if the server has moved on without doing so."""
        before = self._partial
        if before and partial.wire.start >= before.wire.end - STOCK_OVERLAP_S:
            yield from self._complete_partial(now)
        same = before is not None and before.wire.text.strip() == partial.wire.text.strip()
        self._partial, self._seen = partial, self._seen + 1 if same else 1

    def _complete_partial(self, now: float) -> Iterator[LaneNews]:
        """What a stock server showed as often as it takes, it would have completed, had it not been a repetition. One
        that is slow counts what it showed of the sentence before, too: a repetition it may have shown once."""
        partial = self._partial
        is_repetition = partial is not None and partial.wire.text.strip().casefold() == self._completed_text
        if partial and (is_repetition or self._seen > self._protocol.handshake.same_output_threshold):
            self._partial, self._completed_until = None, partial.wire.end
            yield LaneText(partial.start, partial.end, replace(partial.wire, completed=True))
            yield from self._decide_up_to(partial.end, None, now)

    def _decide_up_to(self, sample: int, following: WireSegment | None, now: float) -> Iterator[LaneDecided]:
        """Everything before a completed segment's end; all of the utterance if that ends there with nothing left."""
        end = next((end for end in self._answers.ends if end - STOCK_TAIL_SAMPLES <= sample <= end), None)
        left = next(self._texts([following], now), None) if following else None
        yield from self._decide(sample if end is None or (left and left.middle < end) else end, now)

    def _decide(self, sample: int | None, now: float, *, assumed: bool = False) -> Iterator[LaneDecided]:
        if sample is None or sample <= self._decided:
            return
        self._clock.forget_origins(self._decided)  # text about the audio since the last decision may still come
        self._decided = sample
        lag = self._answers.decided(sample, now)
        if sample > self._replay.start:  # else what was decided has been dropped meanwhile
            self._replay.decided(min(sample, self._cursor))
            yield LaneDecided(sample, assumed, None if assumed else lag)

    def _lane(self, server_sample: int) -> int:
        """The lane sample of the nearest one known; there must be one."""
        place = self._clock.locate(self._clock.clamp(server_sample))
        assert place is not None
        return place.origin

    def _on_lane(self, word: WireWord) -> WireWord:
        start, end = (round(time * SAMPLE_RATE) for time in (word.start, word.end))
        start, end = self._lane(start), self._lane(end - 1) + 1
        return replace(word, start=start / SAMPLE_RATE, end=max(end, start) / SAMPLE_RATE)
