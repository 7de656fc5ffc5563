"""What a connection owes us: for each utterance that was sent an answer, due within a bound. Pure.

An answer is text, or an acknowledgement. Silence is never one: whoever takes speech and says nothing is found out here,
whatever its pings say.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from common.audio.pcm import SAMPLE_RATE

OPEN_ALLOWANCE_S = 15.0
"""Seconds of an utterance without an end after which some answer is due, too: servers cut what is longer."""


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
        self._answered_at = float("-inf")

    def __len__(self) -> int:
        """Utterances that were told and not decided."""
        return len(self._sent)

    @property
    def last_end(self) -> int | None:
        """The lane sample of the last end told and not decided."""
        return self._sent[-1].end if self._sent else None

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

    def answered(self, now: float) -> None:
        """Text came."""
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
