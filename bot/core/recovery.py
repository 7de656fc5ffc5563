"""The recovery ladder: what is tried, in which order and how often, when nothing is heard that should be.

A dead track is subscribed anew. If every track is dead, the connection is renewed, then the meeting is joined anew. A
rung that the platform cannot climb is left out, and one that did not help is not climbed for ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator

from bot.core.effects import GiveOrder, ReportHealth
from bot.core.orders import Order, Reconnect, Rejoin, Resubscribe

RESUBSCRIBES = 2
"""Of one track, until it is heard again."""
RESUBSCRIBE_PAUSE_S = 15.0
"""From one to the next."""
RESUBSCRIBES_AT_ONCE = 16
RESUBSCRIBES_WINDOW_S = 60.0
"""Of all tracks, at most so many in so many seconds: a room full of switched-off microphones is not worth more."""
LADDER: tuple[tuple[float, type[Reconnect] | type[Rejoin]], ...] = (
    (10.0, Reconnect),
    (20.0, Rejoin),
    (60.0, Rejoin),
    (180.0, Rejoin),
)
"""While the room is deaf: seconds after the rung before (the first: after it became deaf), and what to do."""
REJOINS = 3
"""At most, in ..."""
REJOINS_WINDOW_S = 600.0
"""... so many seconds: people see us go and come."""
MIN_DEAD_TO_REJOIN = 2
"""Tracks: a single dead one may be a broken microphone, and no reason to leave the meeting, unless somebody is shown as
speaking meanwhile."""
VERDICT_S = 30.0
"""After the last rung, until nothing is left to try."""
GIVEN_UP = "still nothing is heard on any track, and nothing is left to try"
MAX_TRACKS = 256
"""Whose tries are remembered; the oldest are forgotten first."""


class Recovery:
    """What has been tried so far.

    Args:
        can: The orders that the platform carries out.
    """

    def __init__(self, can: Collection[type[Order]] = ()) -> None:
        self._resubscribes = RESUBSCRIBES if Resubscribe in can else 0
        self._ladder = [rung for rung in LADDER if rung[1] in can]
        self._tries: dict[str, tuple[int, float]] = {}  # of each track: so many, and the next not before
        self._resubscribed: deque[float] = deque(maxlen=RESUBSCRIBES_AT_ONCE)
        self._rejoined: deque[float] = deque(maxlen=REJOINS)
        self._rung = 0
        self._climb_at: float | None = None
        self._dead: Collection[str] = ()
        self._is_deaf = self._has_given_up = self._is_worth_rejoining = False
        self._now = 0.0

    def heard(self, track_id: str) -> None:
        """There is sound on a track: the ladder begins at its foot again."""
        self._tries.pop(track_id, None)
        self._rung, self._climb_at, self._has_given_up = 0, None, False

    def forget(self) -> None:
        """The room will be told anew: nothing of it is dead, and the next rung has its whole pause again."""
        self._dead, self._is_deaf = (), False
        if self._rung < len(self._ladder):
            self._climb_at = None

    def tend(
        self, dead: Collection[str], deaf: bool, now: float, *, is_proved: bool = False
    ) -> list[GiveOrder | ReportHealth]:
        """What to do now.

        Args:
            dead: The tracks on which nothing is heard.
            deaf: They are all that could be heard.
            now: Monotonic seconds.
            is_proved: Somebody speaks, and is not heard.
        """
        self._dead, self._is_deaf, self._now = dead, deaf, now
        self._is_worth_rejoining = is_proved or len(dead) >= MIN_DEAD_TO_REJOIN
        orders: list[Order] = [Resubscribe(track_id) for track_id in dead if self._may_resubscribe(track_id, now)]
        orders += self._climb(now)
        effects: list[GiveOrder | ReportHealth] = [GiveOrder(order) for order in orders]
        has_tried = self._rung or self._tries
        if deaf and has_tried and self.next_timer() is None and not self._has_given_up:
            self._has_given_up = True
            effects.append(ReportHealth("room", False, GIVEN_UP))
        return effects

    def next_timer(self) -> float | None:
        """When there may be something to do."""
        if not self._dead:
            return None
        tries = [self._tries[track_id] for track_id in self._dead if track_id in self._tries]
        moments = [moment for made, moment in tries if made < self._resubscribes or moment > self._now]
        if self._is_deaf and self._climb_at is not None:
            moments.append(self._climb_at)
        return min(moments, default=None)

    def _may_resubscribe(self, track_id: str, now: float) -> bool:
        if not self._resubscribes:
            return False
        made, moment = self._tries.pop(track_id, (0, now))
        window = self._resubscribed
        is_due = made < self._resubscribes and now >= moment
        if is_due and len(window) == window.maxlen and now < window[0] + RESUBSCRIBES_WINDOW_S:
            is_due, moment = False, window[0] + RESUBSCRIBES_WINDOW_S
        if is_due:
            window.append(now)
            made, moment = made + 1, now + RESUBSCRIBE_PAUSE_S
        self._tries[track_id] = made, moment
        while len(self._tries) > MAX_TRACKS:
            del self._tries[next(iter(self._tries))]
        return is_due

    def _climb(self, now: float) -> Iterator[Order]:
        """The next rung, when its time has come."""
        if self._rung == len(self._ladder):
            if self._climb_at is not None and now >= self._climb_at:  # nor has the last one helped
                self._climb_at = None
            return
        if not self._is_deaf:
            return
        pause, order = self._ladder[self._rung]
        if self._climb_at is None:
            self._climb_at = now + pause
        is_rejoin = order is Rejoin
        if is_rejoin and not self._is_worth_rejoining:
            self._climb_at = None
            return
        if is_rejoin and len(self._rejoined) == REJOINS:
            self._climb_at = max(self._climb_at, self._rejoined[0] + REJOINS_WINDOW_S)
        if now < self._climb_at:
            return
        if is_rejoin:
            self._rejoined.append(now)
        self._rung += 1
        is_last = self._rung == len(self._ladder)
        self._climb_at = now + (VERDICT_S if is_last else self._ladder[self._rung][0])
        yield order()
