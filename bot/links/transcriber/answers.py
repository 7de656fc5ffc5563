"""Answers that a connection owes us: one for each utterance that was sent, due within a bound. Pure.

An answer is text, or an acknowledgement. Silence is never one: whoever takes speech and says nothing is found out here,
whatever its pings say.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

from common.audio.pcm import SAMPLE_RATE

OPEN_ALLOWANCE_S = 15.0
"""Seconds of an utterance without an end after which some answer is due, too: servers cut what is longer."""

CLEAR_SPEECH_SAMPLES = 3 * SAMPLE_RATE // 2
"""From this length on, margins included, an utterance is speech that text is expected of; a cough is shorter."""
MUTE_UTTERANCES = 2
"""So many clear utterances without any text after them, and a stock server counts as mute; ..."""
MUTE_SPEECH_SAMPLES = 5 * SAMPLE_RATE
"""... or so many samples of clear speech."""
LONE_UTTERANCE_GRACE_S = 10.0
"""Seconds more for one clear utterance alone: then a server that has answered others heard no words in it, and one that
never said anything is mute."""


class Verdict(Enum):
    """What it means that a server which cannot acknowledge has said nothing for a while."""

    UNCERTAIN = auto()
    """It may still say something."""
    WORDLESS = auto()
    """There was nothing to say."""
    MUTE = auto()
    """It does not do its work."""


@dataclass(frozen=True, slots=True)
class Sent:
    """An utterance that was sent to its end, in lane samples."""

    start: int
    end: int
    read_at: float
    """When a server that reads no faster than real time has it all, monotonic seconds."""
    told_at: float
    """When its end was told."""

    @property
    def length(self) -> int:
        """Samples."""
        return self.end - self.start


class Answers:
    """The utterances of one connection that are not decided.

    Args:
        start: The lane sample with which the connection begins.
    """

    def __init__(self, start: int) -> None:
        self._sent: deque[Sent] = deque()  # bounded by the replay buffer, which knows no more ends
        self._start = start  # of the utterance that is being sent
        self._open_since: float | None = None
        self._read_at = float("-inf")
        self._answered_at = float("-inf")  # or when it was last excused
        self._heard_until: int | None = None  # lane sample up to which any text came

    def __len__(self) -> int:
        """Utterances that were told and not decided."""
        return len(self._sent)

    @property
    def is_open(self) -> bool:
        """Something was sent whose end was not told."""
        return self._open_since is not None

    @property
    def ends(self) -> tuple[int, ...]:
        """The lane samples of the ends told and not decided, ascending."""
        return tuple(sent.end for sent in self._sent)

    @property
    def are_owed(self) -> bool:
        """Something was sent, or is being said, and is not decided."""
        return bool(self._sent) or self._open_since is not None

    def audio(self, samples: int, now: float) -> None:
        """So many samples of speech go out."""
        if self._open_since is None:
            self._open_since = now
        self._read_at = max(self._read_at, now) + samples / SAMPLE_RATE

    def told(self, end: int, now: float) -> None:
        """The utterance ends with this lane sample, and the server is told so."""
        self._sent.append(Sent(self._start, end, max(self._read_at, now), now))
        self._start, self._open_since = end, None

    def answered(self, now: float, until: int) -> None:
        """Text came, about what was said until this lane sample."""
        self._answered_at, self._heard_until = now, max(self._heard_until or 0, until)

    def excused(self, now: float) -> None:
        """Until now no answer could be expected: each wait for one begins anew."""
        self._answered_at = now

    def decided(self, sample: int, now: float) -> float | None:
        """Everything before a lane sample is decided; returns seconds since the last end before it was told, if any."""
        self._answered_at = now
        lag = None
        while self._sent and self._sent[0].end <= sample:
            lag = now - self._sent.popleft().told_at
        return lag

    def overdue(self, now: float, patience: float) -> list[Sent]:
        """Utterances that had `patience` seconds after the server could read them and after its last answer."""
        return [sent for sent in self._sent if now - max(sent.read_at, self._answered_at) >= patience]

    def is_open_overdue(self, now: float, patience: float) -> bool:
        """What is being said goes on for so long that some answer would have come."""
        if self._open_since is None:
            return False
        return now - max(self._open_since, self._answered_at) >= OPEN_ALLOWANCE_S + patience

    def verdict(self, now: float, patience: float) -> Verdict:
        """What the silence of a server that cannot acknowledge says of the utterances that are overdue.

        It says nothing of coughs, and that is right. To clear speech it says something, sooner or later.
        """
        unheard = self._unheard(now, patience)
        if not unheard:
            return Verdict.WORDLESS if self.overdue(now, patience) else Verdict.UNCERTAIN
        if len(unheard) >= MUTE_UTTERANCES or sum(unheard) >= MUTE_SPEECH_SAMPLES:
            return Verdict.MUTE
        if not self._unheard(now, patience + LONE_UTTERANCE_GRACE_S):
            return Verdict.UNCERTAIN
        return Verdict.MUTE if self._heard_until is None else Verdict.WORDLESS

    def _unheard(self, now: float, patience: float) -> list[int]:
        """Lengths of the clear utterances that are overdue and of which no text came."""
        heard = self._heard_until
        return [
            sent.length
            for sent in self.overdue(now, patience)
            if sent.length >= CLEAR_SPEECH_SAMPLES and (heard is None or heard <= sent.start)
        ]
