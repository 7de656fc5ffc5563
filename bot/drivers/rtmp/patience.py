"""Patience with a stream: when to try again, and when not any more. Pure.

A pull cannot tell an end from a crash. What tells them apart is what follows: a publisher that crashed, or lost its
network, comes back; one that ended does not. So after a stream was heard its return is waited for, for a while.
"""

from __future__ import annotations

from bot.drivers.rtmp.reasons import Reason

REACH_S = 5.0
"""For a server that has never answered: it may be starting as we are."""
AWAY_S = 120.0
"""For a server that answered before: it may be started anew."""
RETURNS_WITHIN_S = 30.0
"""For a publisher that was heard, while the server is there."""
MAX_REFUSALS = 3
"""In a row, until they are believed: a server that is going down hangs up on whoever asks it something, too."""
PAUSES_S = (0.1, 0.2, 0.3, 0.5)
"""Between attempts; the last one repeats. An attempt is one connection and 4 KB: whoever begins to publish is heard
within a second, and is asked for twice a second for as long as nobody does."""


class Patience:
    """With one stream.

    Args:
        now: Monotonic seconds.
        returns_within: Seconds after which a publisher that was heard counts as gone for good.
    """

    def __init__(self, now: float, returns_within: float = RETURNS_WITHIN_S) -> None:
        self._returns_within = returns_within
        self._since = now  # since when it is as it is: the server away, or the publisher
        self._is_away = True  # the server
        self._attempts = 0  # since then
        self._refusals = 0  # in a row
        self.was_reached = False
        """The server has answered, and did not refuse us."""
        self.was_heard = False

    def playing(self) -> None:
        """The stream is heard."""
        self.was_reached = self.was_heard = True
        self._is_away, self._attempts = False, 0

    def failed(self, reason: Reason, now: float) -> float | None:
        """Seconds until the next attempt; None: there is none.

        Args:
            reason: Why this attempt ended.
            now: Monotonic seconds.
        """
        self._refusals = self._refusals + 1 if reason is Reason.REFUSED else 0
        is_away = reason in (Reason.UNREACHABLE, Reason.NOT_RTMP)
        if is_away != self._is_away or reason in (Reason.ENDED, Reason.STALLED):
            self._is_away, self._since, self._attempts = is_away, now, 0
        if self._refusals >= MAX_REFUSALS or (reason is Reason.NOT_RTMP and not self.was_reached):
            return None
        limit: float | None
        if is_away:
            limit = AWAY_S if self.was_reached else REACH_S
        else:
            self.was_reached |= reason is not Reason.REFUSED
            limit = self._returns_within if self.was_heard else None
            if reason is Reason.NO_SOUND:  # somebody publishes: a picture, while the microphone is off
                self._since = now
        if limit is not None and now - self._since >= limit:
            return None
        pause = PAUSES_S[min(self._attempts, len(PAUSES_S) - 1)]
        self._attempts += 1
        return pause
