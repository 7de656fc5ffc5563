"""A handover between two roads on which the same room is heard: each moment of the meeting is heard on one.

Both bring frames whose `arrival` is when they were said, however late they come: what was said before a change passes
on the road before, though it may come after the change. What the other road has meanwhile is kept for a few seconds, as
a change may lie in the past.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

from bot.audio.frame import AudioFrame
from bot.core.router import Road

HELD_S = 5.0
"""Seconds of the road that is not in charge that are kept, about 32 kB a second for each track; the oldest goes. An
egress that drops out leaves so much unsaid at most: it may come 3 s late, and to be sure that it is gone takes 2 s."""
MAX_CHANGES = 16
"""Changes kept; the oldest goes. Between two lie minutes."""


class Handover:
    """Of one room.

    Args:
        road: What is in charge at first.
    """

    def __init__(self, road: Road = Road.PARTICIPANT) -> None:
        self._times = [float("-inf")]
        self._roads = [road]
        self._held: deque[AudioFrame] = deque()  # of the other road, as it came

    @property
    def road(self) -> Road:
        """What is in charge of what is said now."""
        return self._roads[-1]

    def take(self, road: Road, frame: AudioFrame) -> bool:
        """Whether this frame is to be heard; if not, it may be later."""
        if self._in_charge(frame.arrival) is road:
            return True
        if road is not self.road:
            self._held.append(frame)
            while self._held[0].arrival < frame.arrival - HELD_S:
                self._held.popleft()
        return False

    def change(self, road: Road, at: float) -> list[AudioFrame]:
        """Puts a road in charge of what is said from `at` (monotonic seconds) on, which may lie in the past.

        Returns:
            What it had to say since then, to be heard now.
        """
        at = max(at, self._times[-1])
        self._times.append(at)
        self._roads.append(road)
        del self._times[:-MAX_CHANGES], self._roads[:-MAX_CHANGES]
        held = [frame for frame in self._held if frame.arrival >= at]
        self._held.clear()
        return held

    def _in_charge(self, at: float) -> Road | None:
        """What was, at a time; None: that is forgotten."""
        index = bisect_right(self._times, at) - 1
        return self._roads[index] if index >= 0 else None
