"""How fast a client is read: at most four times real time. `now` is seconds on any clock."""

from __future__ import annotations

from common.whisperlive.protocol import SAMPLE_RATE

FASTEST = 4
"""Times real time that a client's audio is read at most."""
BURST = 10.0
"""Seconds of audio that may come at any speed."""
LIGHTEST = SAMPLE_RATE // 200
"""Samples that a message counts for at least: 800 a second, or a flood of tiny ones would keep everybody waiting."""


class Pace:
    """One client's."""

    def __init__(self, now: float) -> None:
        self._paid_until = now - BURST / FASTEST

    def wait(self, samples: int, now: float) -> float:
        """Seconds until so many samples may be taken."""
        self._paid_until = max(self._paid_until, now - BURST / FASTEST) + samples / SAMPLE_RATE / FASTEST
        return max(0.0, self._paid_until - now)


def weight(message: str | bytes) -> int:
    """What a message costs its sender besides the samples in it, in samples."""
    size = len(message) // 4
    return max(size, LIGHTEST) if isinstance(message, str) else max(LIGHTEST - size, 0)
