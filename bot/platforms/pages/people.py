"""The people in a meeting as its page shows them: from look to look, what has changed, and who holds the floor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from bot.core.events import (
    ParticipantJoined,
    ParticipantLeft,
    ParticipantRenamed,
    PeopleCounted,
    PlatformEvent,
)
from bot.platforms.pages.look import Look, Seen

ABSENT_S = 3.0
"""Whoever is not shown for so long has left: tiles are rebuilt, and scrolled away."""

MAX_NAMES = 500


@dataclass(slots=True)
class _Known:
    name: str
    missed_since: float | None = None
    tracks: tuple[str, ...] = ()
    muted: bool | None = None


@dataclass(slots=True)
class Company:
    """Who is here beside us, as far as it was reported."""

    _known: dict[str, _Known] = field(default_factory=dict)
    _counted: int | None = None
    names: dict[str, None] = field(default_factory=dict)
    """Everybody's who was ever shown, at most MAX_NAMES; the first ones go."""

    def look(self, look: Look, now: float) -> list[PlatformEvent]:
        """What has changed since the last look: who came, who has another name, who left, how many there are."""
        events = [event for person in look.others for event in self._meet(person)]
        others = None if look.count is None else max(look.count - 1, 0)
        events += self._miss({person.id for person in look.others}, now, others)
        if others is not None and others != self._counted and (self._counted is not None or others > len(self._known)):
            self._counted = others
            events.append(PeopleCounted(others))
        return events

    def _meet(self, person: Seen) -> Iterator[PlatformEvent]:
        known = self._known.get(person.id)
        name = person.name or (known.name if known else "")
        self.names.pop(name, None)
        self.names[name] = None
        if len(self.names) > MAX_NAMES:
            del self.names[next(iter(self.names))]
        self._known[person.id] = _Known(name, None, person.tracks, person.muted)
        if known is None:
            yield ParticipantJoined(person.id, name)
        elif known.name != name:
            yield ParticipantRenamed(person.id, name)

    def _miss(self, shown: set[str], now: float, others: int | None) -> list[PlatformEvent]:
        """Those who are not shown any more; where the page counts more people than it shows, they may be here still."""
        gone = []
        for identity, known in self._known.items():
            if identity in shown:
                continue
            known.missed_since = now if known.missed_since is None else known.missed_since
            if now - known.missed_since >= ABSENT_S:
                gone.append(identity)
        if others is not None:
            gone = gone[: max(len(self._known) - others, 0)]
        for identity in gone:
            del self._known[identity]
        return [ParticipantLeft(identity) for identity in gone]

    def owner_of(self, page_track: str) -> str | None:
        """Whose a `MediaStreamTrack` is; None: the page does not say so now. What was that of somebody who is not shown
        any more may be another's by now."""
        return next((who for who, known in self._known.items() if page_track in known.tracks and self.shows(who)), None)

    def shows(self, identity: str) -> bool:
        """Whether somebody was in the last look."""
        known = self._known.get(identity)
        return known is not None and known.missed_since is None

    def is_muted(self, identity: str) -> bool:
        """Whether the page shows somebody as muted."""
        known = self._known.get(identity)
        return known is not None and known.muted is True

    def knows(self, identity: str) -> bool:
        """Whether somebody is here."""
        return identity in self._known

    def is_here(self, identity: str, now: float) -> bool:
        """Whether somebody is certainly here: shown, or not shown for so long and counted."""
        known = self._known.get(identity)
        return known is not None and (known.missed_since is None or now - known.missed_since >= ABSENT_S)

    def forget(self) -> None:
        """The meeting tells its people anew."""
        self._known.clear()
        self._counted = None
