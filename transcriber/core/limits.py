"""Limits of time that fit the model: what a call, a replacement and a stop may take, from what the warm-up took.

A hung engine and a slow one look the same until the slow one answers: a number of seconds that fits all models would
either end slow ones that work, or wait for minutes for a quick one that does not. Times are seconds on any clock.
"""

from __future__ import annotations

from dataclasses import dataclass

CALL_FACTOR = 12
"""Longest answer to a call, in warm-up calls with a full window of silence for each of its windows: as much text as a
window can have takes five times as long by beam search; the rest is for machines that have other things to do."""
MIN_CALL_S, MAX_CALL_S = 20.0, 300.0
"""Bounds of the time without an answer after which an engine counts as hung."""
REPLACEMENT_FACTOR = 2
"""Longest replacement of an engine that is no reason to worry, in starts of the one before."""
MIN_REPLACEMENT_S, MAX_REPLACEMENT_S = 15.0, 300.0
START_FACTOR = 3
"""Longest start of a new engine until it is given up and tried again, in starts of the one before."""
MIN_START_S, MAX_START_S = 60.0, 900.0
FIRST_START_S = 3600.0
"""What the first start may take: nothing is known of the model yet, and it may have to be fetched."""
DRAIN_PASSES = 3
"""Passes, each with its second try, that are waited for when the transcriber stops: the one under way, then finals."""
MIN_DRAIN_S, MAX_DRAIN_S = 4.0, 8.0
"""Container engines kill what has not ended after 10 s."""
MAX_ILLNESS_PAUSE_S = 15.0
"""Without a call after an illness: what is asked then is no part of it. An engine that hung is long replaced."""


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What a new engine took, seconds."""

    start: float = 0.0
    """From nothing to warm, without the time to fetch the model."""
    short: float = 0.0
    """A call with a second of audio."""
    full: float = 0.0
    """A call with a full window, decoded carefully."""


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """What is too long for one model on one machine, seconds."""

    call: float = MIN_CALL_S
    """Without an answer to a call: the engine hangs and is replaced."""
    replacement: float = MIN_REPLACEMENT_S
    """Without an engine: replacing it does not work."""
    start: float = MIN_START_S
    """Until a new engine is warm: it hangs."""
    drain: float = MIN_DRAIN_S
    """For the last finals when the transcriber stops."""

    @property
    def answer(self) -> float:
        """Without any result while there are calls: a hung engine would have been replaced and have answered by now."""
        return self.call + self.replacement


def fitting(took: WarmUp, batch: int = 1) -> TimeLimits:
    """The limits for an engine by what its warm-up took; `batch`: windows per call at most."""
    longest = max(took.short, took.full)
    return TimeLimits(
        call=_within(MIN_CALL_S, CALL_FACTOR * batch * longest, MAX_CALL_S),
        replacement=_within(MIN_REPLACEMENT_S, REPLACEMENT_FACTOR * took.start, MAX_REPLACEMENT_S),
        start=_within(MIN_START_S, START_FACTOR * took.start, MAX_START_S),
        drain=_within(MIN_DRAIN_S, DRAIN_PASSES * (took.short + took.full), MAX_DRAIN_S),
    )


class Unanswered:
    """For how long there were calls and no result of any: overload has results all the time, illness has none.

    Time without a call under way does not count, and a failure is no result. A pause ends it: who comes later, perhaps
    hours, has not waited yet.
    """

    def __init__(self) -> None:
        self._calls = 0
        self._since = 0.0
        self._before = 0.0  # seconds of calls without a result until then

    def begin(self, now: float) -> None:
        """A call is under way."""
        if not self._calls:
            self._before = self._before if now - self._since <= MAX_ILLNESS_PAUSE_S else 0.0
            self._since = now
        self._calls += 1

    def end(self, now: float, *, answered: bool) -> None:
        """A call is over; `answered`: it gave a result."""
        self._before, self._since = 0.0 if answered else self.seconds(now), now
        self._calls -= 1

    def seconds(self, now: float) -> float:
        """How long by now; 0.0 while no call is under way."""
        return self._before + now - self._since if self._calls else 0.0


def _within(least: float, seconds: float, most: float) -> float:
    return min(max(least, seconds), most)
