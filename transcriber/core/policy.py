"""Which utterances there are, and when one is worth decoding.

Finals: each utterance once, when it has ended. Partials: only when there is new speech, the first one soon. Nothing is
ever decoded twice without new speech in it. Positions and lengths are samples, `now` is seconds on any clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import IntEnum

FIRST_PARTIAL = 9600
"""Speech that an utterance needs for its first partial: 0.6 s."""
CADENCE = 8000
"""New speech that the next partial needs: 0.5 s."""
LONGEST = 15 * 16_000
"""No utterance is longer; what goes on is cut at a quiet point."""
CUT_SEARCH = 7 * 16_000
"""The quiet point is looked for in this last part of an overlong utterance."""
LEAD, LAG = 512, 1600
"""How much wider than the frames of speech a segment is, within its utterance."""
FINAL_DELAY, FIRST_DELAY, PARTIAL_DELAY = 1.0, 0.5, 1.0
"""Seconds until a result is late."""


class Kind(IntEnum):
    """What a pass is for, the most urgent first."""

    FINAL = 0
    FIRST_PARTIAL = 1
    PARTIAL = 2
    BACKGROUND = 3
    """Any pass for a recording: nobody is listening live."""


@dataclass(frozen=True, order=True, slots=True)
class Want:
    """A pass that is due. The smallest goes first."""

    kind: Kind
    deadline: float


@dataclass(slots=True)
class Utterance:
    """One stretch of speech."""

    number: int
    start: int
    end: int | None = None
    """None while it goes on."""
    closed_at: float = 0.0
    due_at: float | None = None
    """When the next partial became due."""
    speech: int = 0
    """Samples of speech heard in it."""
    shown: int = 0
    """How many of them the last partial had."""
    speech_start: int | None = None
    speech_end: int | None = None

    def bounds(self, end: int) -> tuple[int, int]:
        """First and last sample of speech, if known, of the utterance up to `end`."""
        first = self.start if self.speech_start is None else max(self.start, self.speech_start - LEAD)
        last = end if self.speech_end is None else min(end, self.speech_end + LAG)
        return first, max(first, last)


@dataclass(frozen=True, slots=True)
class Pass:
    """One decoding of an utterance: samples start…end-1."""

    utterance: Utterance
    kind: Kind
    start: int
    end: int


class Policy:
    """The utterances of one stream. At most one pass is under way at a time."""

    def __init__(self, start: int = 0) -> None:
        self._count = 0
        self._open: Utterance | None = None
        self._closed: deque[Utterance] = deque()  # ended, not yet decided; bounded by the audio ring
        self._pass: Pass | None = None
        self._ended_at = start

    @property
    def is_open(self) -> bool:
        """Somebody is speaking."""
        return self._open is not None

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

    def open(self, start: int) -> None:
        """An utterance begins."""
        self._count += 1
        self._open = Utterance(self._count, max(start, self._ended_at))

    def hear(self, first: int, last: int, now: float) -> None:
        """Samples first…last-1 of the open utterance are speech."""
        utterance = self._open
        if utterance is None:
            return
        if utterance.speech_start is None:
            utterance.speech_start = max(first, utterance.start)
        utterance.speech_end = last
        utterance.speech += last - first
        needed = CADENCE if utterance.shown else FIRST_PARTIAL
        if utterance.due_at is None and utterance.speech - utterance.shown >= needed:
            utterance.due_at = now

    def close(self, end: int, now: float) -> None:
        """The open utterance, if any, ends before sample `end`."""
        if utterance := self._open:
            utterance.end, utterance.closed_at = max(end, utterance.start), now
            self._closed.append(utterance)
            self._open = None
        self._ended_at = max(end, self._ended_at)

    def overlong(self, heard_until: int) -> tuple[int, int] | None:
        """The samples among which the open utterance must be cut, None while it is short enough."""
        if self._open is None or heard_until - self._open.start < LONGEST:
            return None
        return self._open.start + LONGEST - CUT_SEARCH, self._open.start + LONGEST

    def cut(self, at: int, now: float) -> None:
        """Ends the open utterance at this sample; what was heard of it after that begins the next one."""
        before = self._open
        self.close(at, now)
        self.open(at)
        if before and self._open and before.speech_end is not None and before.speech_end > at:
            self.hear(at, before.speech_end, now)
            before.speech_end = at

    def want(self) -> Want | None:
        """The most urgent pass, None when there is nothing to do or one is under way."""
        if self._pass:
            return None
        if self._closed:
            return Want(Kind.FINAL, self._closed[0].closed_at + FINAL_DELAY)
        if self._open is None or self._open.due_at is None:
            return None
        if self._open.shown:
            return Want(Kind.PARTIAL, self._open.due_at + PARTIAL_DELAY)
        return Want(Kind.FIRST_PARTIAL, self._open.due_at + FIRST_DELAY)

    def begin(self, heard_until: int) -> Pass:
        """Starts the pass that `want` asked for, on all the audio there is by now."""
        want = self.want()
        utterance = self._closed[0] if self._closed else self._open
        if want is None or utterance is None:
            raise RuntimeError("no pass is due")
        end = heard_until if utterance.end is None else utterance.end
        self._pass = Pass(utterance, want.kind, utterance.start, end)
        utterance.shown, utterance.due_at = utterance.speech, None
        return self._pass

    def finish(self) -> bool:
        """The pass under way is over; true if its result is still news (a partial of an ended utterance is not)."""
        done, self._pass = self._pass, None
        if done is None:
            raise RuntimeError("no pass is under way")
        if done.kind is Kind.FINAL:
            self._closed.popleft()
            return True
        return done.utterance is self._open
