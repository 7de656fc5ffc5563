"""How fast a client is read: at most four times real time, and small messages a few at a time.

Each message wakes the process, which costs more than what is in it: a client that sends frames of 20 ms is looked at
every 60 ms. `now` is seconds on any clock.
"""

from __future__ import annotations

from transcriber.protocol import SAMPLE_RATE

FASTEST = 4
"""Times real time that a client's audio is read at most."""
BURST = 10.0
"""Seconds of audio that may come at any speed."""
LIGHTEST = SAMPLE_RATE // 200
"""Samples that a message counts for at least: 800 a second, or a flood of tiny ones would keep everybody waiting."""
LULL = 0.06
"""Seconds for which nothing is read of a client that sends smaller messages in real time."""


class Pace:
    """One client's."""

    def __init__(self, now: float) -> None:
        self._paid_until = now - BURST / FASTEST
        self._heard = 0.0
        self._began = now
        """When a client that has always sent in real time would have begun."""

    def wait(self, samples: int, now: float) -> float:
        """Seconds until so many samples may be taken."""
        self._paid_until = max(self._paid_until, now - BURST / FASTEST) + samples / SAMPLE_RATE / FASTEST
        return max(0.0, self._paid_until - now)

    def lull(self, samples: int, now: float, *, waited: bool) -> float:
        """Seconds for which nothing need be read after a message of so many samples, if that was the newest.

        Args:
            samples: In the message.
            now: Seconds.
            waited: The message was not there when it was asked for.
        """
        seconds = samples / SAMPLE_RATE
        self._heard += seconds
        if waited:
            self._began = now - self._heard
        behind = now - self._began - self._heard
        return LULL if 0 < seconds < LULL and behind < seconds / 2 else 0.0


def weight(message: str | bytes) -> int:
    """What a message costs its sender besides the samples in it, in samples."""
    size = len(message) // 4
    return max(size, LIGHTEST) if isinstance(message, str) else max(LIGHTEST - size, 0)
