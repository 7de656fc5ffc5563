"""Subscriptions to the tracks of a LiveKit room: what is asked of the server, and when again if nothing comes of it.

Pure: `now` is an argument, and a publication of the SDK is whatever has its members.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 30.0
"""From one request to the next, while no track comes: doubled up to this. A publisher may forbid it for ever."""
MAX_SUBSCRIPTIONS = 128
"""At once. Policy when more is published: what is muted gives way to what is not, then first come, first served."""
RENEWAL_S = 0.5
"""From letting go of a track to asking for it again: in one breath the server would see no change."""


class Publication(Protocol):
    """What somebody publishes, as the SDK shows it."""

    @property
    def sid(self) -> str:
        """The track's id."""

    @property
    def track(self) -> object | None:
        """What can be read of it; None: we are not subscribed."""

    @property
    def muted(self) -> bool:
        """Nothing comes of it for now."""

    def set_subscribed(self, subscribed: bool) -> None:
        """Asks the server; what comes of it is seen on `track`, if anything does."""


@dataclass(slots=True)
class _Request:
    publication: Publication
    due: float | None  # when to ask (again); None: it came
    pause: float = FIRST_PAUSE_S
    renews: bool = False  # it was let go, whatever `track` still says


class Subscriptions:
    """One room's. Full reconnects bring the same track as a new publication, which is asked for anew."""

    def __init__(self) -> None:
        self._requests: dict[str, _Request] = {}
        self.unheard = 0
        """Tracks that are not muted, and for which there is no room."""

    def want(self, publications: Iterable[Publication], now: float) -> None:
        """Asks for each of these that is not there, when its time has come; forgets all others.

        Beyond `MAX_SUBSCRIPTIONS` of them it lets go of those for which there is no room any more.
        """
        before, self._requests = self._requests, {}
        ranked = list(publications)
        if len(ranked) > MAX_SUBSCRIPTIONS:
            ranked.sort(key=lambda one: (one.muted, one.sid not in before))
        for publication in ranked[:MAX_SUBSCRIPTIONS]:
            request = before.get(publication.sid)
            if request is None or request.publication is not publication:
                request = _Request(publication, now)
            self._requests[publication.sid] = request
            self._pursue(request, now)
        left_out = ranked[MAX_SUBSCRIPTIONS:]
        for publication in left_out:
            if publication.sid in before:
                publication.set_subscribed(False)
        self.unheard = sum(not publication.muted for publication in left_out)

    def _pursue(self, request: _Request, now: float) -> None:
        if request.publication.track is not None and not request.renews:
            request.due, request.pause = None, FIRST_PAUSE_S
            return
        if request.due is None:  # it was there, and is gone
            request.due = now
        if request.due <= now:
            request.publication.set_subscribed(True)
            request.renews = False
            request.due = now + request.pause
            request.pause = min(2 * request.pause, LONGEST_PAUSE_S)

    def renew(self, track_id: str, now: float) -> None:
        """Lets go of a track and asks for it again; one that is not wanted stays as it is."""
        if request := self._requests.get(track_id):
            request.publication.set_subscribed(False)
            request.renews, request.due = True, now + RENEWAL_S

    def next_timer(self) -> float | None:
        """When `want` has something to do although nothing has happened."""
        return min((request.due for request in self._requests.values() if request.due is not None), default=None)
