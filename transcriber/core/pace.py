"""Pace at which a client is read: at most four times real time. `now` is seconds on any clock."""

from __future__ import annotations

from common.whisperlive.protocol import SAMPLE_RATE

MAX_READ_SPEED = 4
"""A client's audio is read at most this many times as fast as real time."""
BURST_S = 10.0
"""Audio that may come at any speed."""
MIN_MESSAGE_SAMPLES = SAMPLE_RATE // 200
"""What a message counts for at least: 800 a second, or a flood of tiny ones would keep everybody waiting."""


class Pace:
    """The pace of one client."""

    def __init__(self, now: float) -> None:
        self._paid_until = now - BURST_S / MAX_READ_SPEED

    def wait(self, samples: int, now: float) -> float:
        """Seconds until so many samples may be taken."""
        self._paid_until = (
            max(self._paid_until, now - BURST_S / MAX_READ_SPEED) + samples / SAMPLE_RATE / MAX_READ_SPEED
        )
        return max(0.0, self._paid_until - now)


def overhead_samples(message: str | bytes) -> int:
    """What a message costs its sender besides the samples in it, in samples."""
    size = len(message) // 4
    return max(size, MIN_MESSAGE_SAMPLES) if isinstance(message, str) else max(MIN_MESSAGE_SAMPLES - size, 0)
