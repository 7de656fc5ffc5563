"""Load shedding: less is decoded beside the finals, step by step, while passes wait too long, and more again after.

Finals and audio are not on the ladder: they are never given up. `now` is seconds on any clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from common.audio.pcm import SAMPLE_RATE

WAIT_WINDOW_S = 2.5
"""How far back waits count."""
MAX_WAITS = 1000
"""Waits kept; the oldest goes. More than a server makes in the span."""
MIN_WAITS = 8
"""Waits it takes to give something up: one long one is no load. A slow model makes fewer in the span: then passes that
have not begun count, if they are late all the while."""
SHED_WAIT_S = 0.8
"""What the 95th percentile of passes may wait until something is given up."""
RESTORE_WAIT_S = 0.25
"""Waits below which it is taken back; far from the above, so that the level does not swing."""
HURRY_WAIT_S = 0.5
"""Wait of any pass from which finals are hurried: longer than one partial of its own keeps a stream waiting."""
LEVEL_HOLD_S = 1.0
"""Time on a level before the next."""
RESTORE_HOLD_S = 1.5
"""Time without a long wait before anything is taken back; from the last level to the first in less than 10 s."""


@dataclass(frozen=True, slots=True)
class Effort:
    """What is done for a stream on one level."""

    cadence: int = 12_800
    """New speech that the next partial needs, in samples."""
    eager: bool = True
    """A pause is decoded at once as if it were the end: if it is, the final is ready."""
    trim: bool = False
    """Partials begin at the last two committed words instead of at the beginning of the utterance."""
    partials: bool = True
    admit: bool = True
    """New clients are let in."""


LADDER = (
    Effort(),
    Effort(cadence=SAMPLE_RATE),
    Effort(cadence=SAMPLE_RATE, trim=True),
    Effort(cadence=32_000, eager=False, trim=True),
    Effort(eager=False, partials=False),
    Effort(eager=False, partials=False, admit=False),
)
"""From everything to nothing but the finals of those who are here."""
FINALS_ONLY_EFFORT = Effort(eager=False, partials=False)


class LoadShedder:
    """Chooses the level from how long passes waited for the engine after they were due."""

    def __init__(self) -> None:
        self.level = 0
        self._since = float("-inf")
        self._strained_at = float("-inf")
        self._prompt_at = float("inf")
        self._waits: deque[tuple[float, float]] = deque(maxlen=MAX_WAITS)

    @property
    def effort(self) -> Effort:
        """What is done on this level."""
        return LADDER[self.level]

    def hurries(self, waits: Sequence[float], oldest: float) -> bool:
        """Whether finals that begin now have the shortest windows that there are: something is left out already,
        several passes are due, or one has been for long.

        Args:
            waits: For how long those that begin together were due, in seconds.
            oldest: For how long the oldest of the others has been.
        """
        return self.level > 0 or len(waits) > 1 or max(*waits, oldest) > HURRY_WAIT_S

    def waited(self, seconds: float, now: float) -> None:
        """A pass starts that was due so many seconds ago."""
        self._waits.append((now, seconds))

    def update(self, now: float, oldest: float = 0.0) -> bool:
        """Goes at most one step up or down; true if it did. Call it now and then, also when nothing happens.

        Args:
            now: Seconds.
            oldest: For how long the oldest pass that has not started has been due, in seconds.
        """
        while self._waits and self._waits[0][0] < now - WAIT_WINDOW_S:
            self._waits.popleft()
        tail = self.tail
        if max(tail, oldest) >= RESTORE_WAIT_S:
            self._strained_at = now
        if oldest <= SHED_WAIT_S:
            self._prompt_at = now
        if now - self._since < LEVEL_HOLD_S:
            return False
        is_late = tail > SHED_WAIT_S if len(self._waits) >= MIN_WAITS else now - self._prompt_at > WAIT_WINDOW_S
        if is_late and self.level < len(LADDER) - 1:
            self._waits.clear()  # what was measured on one level says nothing about the next
            self._prompt_at = now
            return self._go(1, now)
        return self._go(-1, now) if self.level and now - self._strained_at > RESTORE_HOLD_S else False

    @property
    def tail(self) -> float:
        """The 95th percentile of the waits, in seconds; 0.0 without any."""
        waits = sorted(wait for _, wait in self._waits)
        return waits[int(0.95 * (len(waits) - 1))] if waits else 0.0

    def _go(self, step: int, now: float) -> bool:
        self.level, self._since = self.level + step, now
        return True
