"""Policy of a stream: which utterances there are, and when one is worth decoding.

Partials: only when there is new speech, the first one soon, and none begins in what may become a pause. A pause is
decoded as if it were the end (an eager final); if nobody goes on, that is the final, ready when the utterance closes.
Otherwise a final follows. Nothing is decoded twice without new speech in it. Positions and lengths are samples, `now`
is seconds on any clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from common.audio.hysteresis import FRAME_SAMPLES
from common.audio.pcm import SAMPLE_RATE
from transcriber.core.gate import ONSET_SAMPLES
from transcriber.core.load import LADDER, Effort

FIRST_PARTIAL_SAMPLES = 6400
"""Speech that an utterance needs for its first partial: 0.4 s."""
PAUSE_SAMPLES = 3200
"""Silence after speech that may be the end: 0.2 s."""
MAX_UTTERANCE_SAMPLES = 13 * SAMPLE_RATE
"""No utterance is longer; what goes on is cut at a quiet point. With a margin it fits half of Whisper's window, which
costs a quarter."""
CUT_SEARCH_SAMPLES = 7 * SAMPLE_RATE
"""The quiet point is looked for in this last part of an overlong utterance."""
LEAD_SAMPLES, LAG_SAMPLES = FRAME_SAMPLES, 1600
"""How much wider than the frames of speech a segment is, within its utterance."""
RESULT_DELAYS_S = (1.0, 0.5, 0.5, 1.0, 1.0)
"""How long after its pass is due a result is late, by kind of pass."""
MAX_DECODE_ATTEMPTS = 2
"""Failed passes after which an utterance is given up, if one of them was its final."""


class PassKind(IntEnum):
    """What a pass is for, the most urgent first."""

    FINAL = 0
    EAGER_FINAL = 1
    """In a pause, before it is known whether the utterance has ended."""
    FIRST_PARTIAL = 2
    PARTIAL = 3
    BACKGROUND = 4
    """Any pass for a recording: nobody is listening live."""

    @property
    def is_careful(self) -> bool:
        """Worth the better decoding: its text may be the last word."""
        return self not in (PassKind.FIRST_PARTIAL, PassKind.PARTIAL)


@dataclass(frozen=True, order=True, slots=True)
class DecodeRequest:
    """A pass that is due. The smallest goes first."""

    kind: PassKind
    deadline: float
    """When its result is late, in seconds on the clock of `now`."""
    alone: bool = False
    """Not together with other streams' windows: it may be what made the engine fail."""

    @property
    def due(self) -> float:
        """Since when it is due, on the same clock."""
        return self.deadline - RESULT_DELAYS_S[self.kind]


@dataclass(slots=True)
class PendingUtterance:
    """A stretch of speech that has no final yet, and the passes it had. Positions and lengths are samples; times, named
    `…_at`, are seconds."""

    number: int
    start: int
    opened_at: float
    end: int | None = None
    """None while it goes on."""
    closed_at: float = 0.0
    due_at: float | None = None
    """When the next partial became due."""
    pause_at: float | None = None
    """When the pause it is in became worth decoding."""
    quiet_at: float | None = None
    """Since when there is no speech in it, and no partial begins."""
    speech: int = 0
    """Samples of speech heard in it, the doubtful too: all of it is decoded before the utterance is decided."""
    certain: int = 0
    """How many of them were speech beyond doubt."""
    shown: int = 0
    """How many of them the last pass had."""
    careful: int = 0
    """How many of them the last careful pass had."""
    settled: bool = False
    """That pass is over, and no speech has come since: what it gave is the final."""
    failures: int = 0
    """Passes that failed over it."""
    stretches: list[tuple[int, int]] = field(default_factory=list)
    """Where its speech is, in order; never many: nothing is longer than `MAX_UTTERANCE_SAMPLES`."""

    @property
    def speech_end(self) -> int | None:
        """The sample after its last speech, None while there is none."""
        return self.stretches[-1][1] if self.stretches else None

    @property
    def is_empty(self) -> bool:
        """Too little speech to decode: a client that says where utterances end may be wrong about what is in them."""
        return self.speech < ONSET_SAMPLES and not self.shown

    def bounds(self, end: int) -> tuple[int, int]:
        """First and last sample of speech, if known, of the utterance up to `end`."""
        if not self.stretches:
            return self.start, max(self.start, end)
        first = max(self.start, self.stretches[0][0] - LEAD_SAMPLES)
        return first, max(first, min(end, self.stretches[-1][1] + LAG_SAMPLES))


@dataclass(frozen=True, slots=True)
class Pass:
    """One decoding of an utterance: samples start…end-1."""

    utterance: PendingUtterance
    kind: PassKind
    start: int
    end: int
    certain: int = 0
    """Samples that were speech beyond doubt when it began."""


class PassOutcome(Enum):
    """What to do with the result of a pass."""

    DROP = "drop"
    """It is no news: the utterance has ended, and its final comes."""
    SHOW = "show"
    """A partial."""
    KEEP = "keep"
    """A partial that becomes the final unless there is more speech."""
    FINAL = "final"


class Policy:
    """The utterances of one stream. At most one pass is under way at a time."""

    def __init__(self, start: int = 0, effort: Effort = LADDER[0]) -> None:
        self.effort = effort
        """What is worth doing."""
        self._count = 0
        self._open: PendingUtterance | None = None
        self._closed: deque[PendingUtterance] = deque()  # ended, not yet decided; bounded by the audio ring
        self._pass: Pass | None = None
        self._ended_at = start

    @property
    def current(self) -> PendingUtterance | None:
        """The open utterance, None while nobody speaks."""
        return self._open

    @property
    def ended_at(self) -> int:
        """Where the last utterance ended."""
        return self._ended_at

    @property
    def undecided(self) -> int | None:
        """The first sample of the oldest utterance without a final, None without one."""
        if self._closed:
            return self._closed[0].start
        return self._open.start if self._open else None

    @property
    def under_way(self) -> Pass | None:
        """The pass that has begun and is not over."""
        return self._pass

    def adapt(self, effort: Effort) -> None:
        """From now on this is worth doing; what is not any more is not due any more either."""
        self.effort = effort
        if self._open and not effort.partials:
            self._open.due_at = None
        if self._open and not effort.eager:
            self._open.pause_at = self._open.quiet_at = None

    def open(self, start: int, now: float) -> None:
        """An utterance begins."""
        self._count += 1
        self._open = PendingUtterance(self._count, max(start, self._ended_at), now)

    def hear(self, first: int, last: int, now: float, *, certain: bool = True) -> None:
        """Samples first…last-1 of the open utterance are speech, or may be; if they are before it, they are no news."""
        utterance = self._open
        if utterance is None or last <= utterance.start:
            return
        utterance.speech += last - first
        utterance.certain += (last - first) * certain
        first = max(first, utterance.start)
        if utterance.speech_end == first:
            first, _ = utterance.stretches.pop()
        utterance.stretches.append((first, last))
        if utterance.quiet_at is not None and utterance.due_at is not None and utterance.shown:
            utterance.due_at += now - max(utterance.quiet_at, utterance.due_at)  # for so long it was not kept waiting
        utterance.settled, utterance.pause_at, utterance.quiet_at = False, None, None
        needed = self.effort.cadence if utterance.shown else FIRST_PARTIAL_SAMPLES
        if self.effort.partials and utterance.due_at is None and utterance.speech - utterance.shown >= needed:
            utterance.due_at = now

    def pause(self, until: int, now: float) -> None:
        """There was no speech since the last, until this sample."""
        utterance = self._open
        if not self.effort.eager or utterance is None or utterance.pause_at is not None or utterance.is_empty:
            return
        if utterance.quiet_at is None and utterance.speech > utterance.careful:
            utterance.quiet_at = now
        silence = until - (utterance.speech_end or until)
        if silence >= PAUSE_SAMPLES and utterance.speech > utterance.careful:
            utterance.pause_at = now

    def close(self, end: int, now: float) -> None:
        """The open utterance, if any, ends before sample `end`."""
        if utterance := self._open:
            utterance.end, utterance.closed_at = max(end, utterance.start), now
            utterance.settled |= utterance.is_empty
            self._closed.append(utterance)
            self._open = None
        self._ended_at = max(end, self._ended_at)

    def overlong(self, heard_until: int) -> PendingUtterance | None:
        """The open utterance, if it must be cut in its last `CUT_SEARCH_SAMPLES`; None while it is short enough."""
        return self._open if self._open and heard_until - self._open.start >= MAX_UTTERANCE_SAMPLES else None

    def cut(self, at: int, now: float) -> None:
        """Ends the open utterance at this sample; what was heard of it after that begins the next one."""
        before = self._open
        after = [(max(first, at), last) for first, last in before.stretches if last > at] if before else []
        self.close(at, now)
        self.open(at, now)
        for first, last in after:
            self.hear(first, last, now)
        if before and after:
            before.speech -= sum(last - first for first, last in after)
            before.certain = min(before.certain, before.speech)
            before.stretches = [(first, min(last, at)) for first, last in before.stretches if first < at]
            before.settled = before.is_empty

    def next_request(self) -> DecodeRequest | None:
        """The most urgent pass, None when there is nothing to do or one is under way."""
        if self._pass:
            return None
        if self._closed:
            ended = self._closed[0]
            return None if ended.settled else self._due(PassKind.FINAL, ended.closed_at, ended)
        utterance = self._open
        if utterance is None or utterance.failures:
            return None
        if utterance.pause_at is not None:
            return self._due(PassKind.EAGER_FINAL, utterance.pause_at, utterance)
        if utterance.due_at is None:
            return None
        if not utterance.shown:
            return self._due(PassKind.FIRST_PARTIAL, utterance.due_at, utterance)
        # A partial that begins now would keep the pass that may be the last word waiting.
        return None if utterance.quiet_at is not None else self._due(PassKind.PARTIAL, utterance.due_at, utterance)

    def begin(self, heard_until: int) -> Pass:
        """Starts the pass that `next_request` asked for, on all the audio there is by now."""
        request = self.next_request()
        utterance = self._closed[0] if self._closed else self._open
        if request is None or utterance is None:
            raise RuntimeError("no pass is due")
        end = heard_until if utterance.end is None else utterance.end
        self._pass = Pass(utterance, request.kind, utterance.start, end, utterance.certain)
        utterance.shown, utterance.due_at, utterance.pause_at = utterance.speech, None, None
        if request.kind.is_careful:
            utterance.careful = utterance.speech
        return self._pass

    def finish(self) -> PassOutcome:
        """The pass under way is over: what is its result?"""
        done = self._over()
        utterance = done.utterance
        if done.kind is PassKind.FINAL:
            self._closed.popleft()
            return PassOutcome.FINAL
        if done.kind is PassKind.EAGER_FINAL and utterance.speech == utterance.careful:
            utterance.settled = True
            return PassOutcome.KEEP
        return PassOutcome.SHOW if utterance is self._open else PassOutcome.DROP

    def fail(self, now: float) -> bool:
        """The pass under way failed; true if the utterance is given up. Else its final is tried again, alone."""
        done = self._over()
        utterance = done.utterance
        utterance.failures += 1
        if done.kind is PassKind.FINAL and utterance.failures >= MAX_DECODE_ATTEMPTS:
            self._closed.popleft()
            return True
        utterance.closed_at = now
        return False

    def settle(self) -> PendingUtterance | None:
        """Takes the next ended utterance whose final is there already."""
        return self._closed.popleft() if self._closed and self._closed[0].settled else None

    def _over(self) -> Pass:
        done, self._pass = self._pass, None
        if done is None:
            raise RuntimeError("no pass is under way")
        return done

    def _due(self, kind: PassKind, since: float, utterance: PendingUtterance) -> DecodeRequest:
        return DecodeRequest(kind, since + RESULT_DELAYS_S[kind], utterance.failures > 0)
