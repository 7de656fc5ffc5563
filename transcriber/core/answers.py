"""Answers of streaming engines: for how long there was audio and none of it answered, and whether all streams are lost.

What an engine that is fed audio has to do for it is its own business; whether anything comes back can be seen. Times
are seconds on any clock.
"""

from __future__ import annotations

from transcriber.core.limits import MAX_ILLNESS_PAUSE_S

MAX_LOST_STREAMS, ILLNESS_S = 3, 60.0
"""Streams lost in a row, without an answer to anybody, from which an engine is ill; and for how long after the last."""


class StreamAnswers:
    """What all streams of one server got."""

    def __init__(self) -> None:
        self.last: float | None = None
        """When there was an answer."""
        self._since: float | None = None  # the first audio after that
        self._fed_at = 0.0
        self._lost, self._lost_at = 0, 0.0

    def feed(self, now: float) -> None:
        """A stream got audio, or was told to end, and something of it is undecided. Who comes after a pause has not
        waited yet."""
        if self._since is None or now - self._fed_at > MAX_ILLNESS_PAUSE_S:
            self._since = now
        self._fed_at = now

    def answer(self, now: float) -> None:
        """Text, or a decision that there is none."""
        self.last, self._since, self._lost = now, None, 0

    def lose(self, now: float) -> None:
        """A stream broke."""
        self._lost, self._lost_at = self._lost + 1, now

    def unanswered(self, now: float, *, owed: bool) -> float:
        """How long by now. `owed`: a stream can do nothing but wait: it has ended, or may send no more."""
        return (now if owed else self._fed_at) - self._since if self._since is not None else 0.0

    def is_failing(self, now: float) -> bool:
        """Streams are lost one after another."""
        return self._lost >= MAX_LOST_STREAMS and now - self._lost_at < ILLNESS_S
