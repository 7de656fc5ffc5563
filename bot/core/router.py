"""The router of one room: heard on its participants' tracks, or as the one mix that an egress pushes to us.

    JOINED ─▶ WAITING ─▶ STARTING ─▶ OVERLAP ─▶ COMPOSITE ─▶ RETURNING ─▶ JOINED
       ▲         │           │          │            │            │
       └─────────┴───────────┴──────────┴────────────┴────────────┘   alone, refused, failed, dropped, budget gone

It says what it wants (`wants_budget`, `wants_egress`, `hears_tracks`) and which road is in charge (`road`); edges bring
that about and tell what came of it. One road is in charge at any time, and the tracks are one that is always there:
whatever becomes of an egress, the room is heard. A road changes in a pause, when both come, so that no word is lost or
said twice (`bot.audio.handover`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

CROWD_S = 5.0
"""Seconds for which there are enough people before an egress is asked for: who looks in and goes is no meeting."""
ALONE_S = 30.0
"""Seconds for which there are too few before it is given up: somebody who reconnects is back by then."""
BUDGET_TIMEOUT_S = 30.0
"""Seconds that `mode: composite` waits for a free egress."""
START_TIMEOUT_S = 40.0
"""Seconds from the order for an egress to its first sound. Servers look long for somebody who has room."""
OVERLAP_TIMEOUT_S = 120.0
"""Seconds in which both roads are there and the mix cannot be laid over the tracks: nobody has said anything."""
PAUSE_TIMEOUT_S = 60.0
"""Seconds for which a road that is to change waits for a pause; then it changes in mid-speech, which costs a word."""
STALL_TIMEOUT_S = 2.0
"""Seconds without sound of an egress that is in charge, or about to be: it is gone. A mix has sound in silence, too."""
COOL_DOWN_S = 30.0
LONGEST_COOL_DOWN_S = 600.0
"""Seconds until another egress is asked for after one that failed: doubled each time, anew after ..."""
PROVEN_S = 300.0
"""... one that was in charge for so long."""


class Mode(StrEnum):
    """How a room is to be heard."""

    AUTO = "auto"
    """As an egress where several people are there and one can be had, else on their tracks."""
    PARTICIPANT = "participant"
    COMPOSITE = "composite"
    """As an egress, or not at all: what cannot be had at the beginning fails the bot."""


class Road(StrEnum):
    """On what a room is heard."""

    PARTICIPANT = "participant"
    COMPOSITE = "composite"


class Stage(StrEnum):
    """Where a router stands."""

    JOINED = "joined"
    """Heard on the tracks; no egress is asked for."""
    WAITING = "waiting"
    """Heard on the tracks; an egress is to be free."""
    STARTING = "starting"
    """Heard on the tracks; an egress is to begin."""
    OVERLAP = "overlap"
    """Heard on the tracks; the mix comes, too."""
    COMPOSITE = "composite"
    """Heard in the mix; of the tracks only those of who speaks send, in case it drops out."""
    RETURNING = "returning"
    """Heard in the mix; the tracks come, too."""


_AHEAD = (Stage.STARTING, Stage.OVERLAP, Stage.COMPOSITE, Stage.RETURNING)


@dataclass(slots=True)
class Router:
    """Of one room. Times are monotonic seconds."""

    mode: Mode
    stage: Stage = Stage.JOINED
    failure: str | None = None
    """Why the bot is to end: `mode: composite`, and there is none."""
    detail: str = ""
    """Why it stands where it does, for people."""
    was_dropped: bool = False
    """The last egress ended by itself, or had to."""
    _since: float = 0.0  # when the stage began
    _people: int = 0
    _changed_at: float = 0.0  # when there were enough people, or too few
    _obstacle: str = ""  # why no egress could hear the room
    _cool_until: float = 0.0
    _failures: int = 0  # in a row
    _has_begun: bool = False  # an egress has been in charge, ever
    _heard_at: float = 0.0  # the mix had sound
    _aligned_at: float | None = None
    _begun_at: float = 0.0  # when the mix took charge

    # --- what it wants

    @property
    def road(self) -> Road:
        """What is in charge."""
        return Road.COMPOSITE if self.stage in (Stage.COMPOSITE, Stage.RETURNING) else Road.PARTICIPANT

    @property
    def wants_budget(self) -> bool:
        """One of the egresses that all bots share is to be ours."""
        return self.stage is not Stage.JOINED

    @property
    def wants_egress(self) -> bool:
        """There is to be an egress."""
        return self.stage in _AHEAD

    @property
    def hears_tracks(self) -> bool:
        """All tracks are to send."""
        return self.stage is not Stage.COMPOSITE

    # --- what happens

    def people(self, count: int, now: float) -> None:
        """So many people are there."""
        was, self._people = self._is_crowd, count
        if was is not self._is_crowd:
            self._changed_at = now
        self.tick(now)

    def obstacle(self, why: str, now: float) -> None:
        """An egress could not hear the room, for this reason; empty: it could."""
        self._obstacle = why
        if why and self.mode is Mode.COMPOSITE and not self._has_begun:
            self.failure = why
        if why and self.stage is not Stage.JOINED:
            self._enter(Stage.JOINED, now, why)
            self.was_dropped = True
        self.tick(now)

    def budget(self, held: bool, now: float) -> None:
        """Whether one of the egresses is ours."""
        if held and self.stage is Stage.WAITING:
            self._enter(Stage.STARTING, now, "an egress was free")
        elif not held and self.stage in _AHEAD:
            self.failed("its place among all bots' egresses could not be kept", now)

    def failed(self, why: str, now: float) -> None:
        """The egress was refused, could not be started, or is gone."""
        if self.stage not in _AHEAD:
            return
        if self.mode is Mode.COMPOSITE and not self._has_begun:
            self.failure = why
        if self.road is Road.COMPOSITE and now - self._begun_at >= PROVEN_S:
            self._failures = 0
        self._cool_until = now + min(COOL_DOWN_S * 2.0**self._failures, LONGEST_COOL_DOWN_S)
        self._failures = min(self._failures + 1, 16)
        self._enter(Stage.JOINED, now, why)
        self.was_dropped = True

    def heard(self, now: float) -> None:
        """The mix has sound, silence too."""
        self._heard_at = now
        if self.stage is Stage.STARTING:
            self._enter(Stage.OVERLAP, now, "the mix comes")

    def aligned(self, now: float) -> None:
        """It is known when what the mix says was said."""
        if self._aligned_at is None:
            self._aligned_at = now

    def pause(self, now: float) -> None:
        """Nobody speaks, as the tracks tell: to be told again and again while both roads are there."""
        if self.stage is Stage.OVERLAP and self._aligned_at is not None:
            self._take_charge(now)
        elif self.stage is Stage.RETURNING:
            self._enter(Stage.JOINED, now, self.detail)

    def tick(self, now: float) -> None:
        """Time has passed."""
        if self.stage is Stage.JOINED:
            if self._is_wanted and now >= max(self._changed_at + CROWD_S, self._cool_until):
                self._enter(Stage.WAITING, now, f"{self._people} people")
            return
        if self._is_left_alone(now):
            back = Stage.RETURNING if self.stage is Stage.COMPOSITE else Stage.JOINED
            self._enter(back, now, f"{self._people} people are left")
            return
        self._watch(now)

    def _watch(self, now: float) -> None:
        waited = now - self._since
        if self.stage is Stage.WAITING:
            if self.mode is Mode.COMPOSITE and not self._has_begun and waited >= BUDGET_TIMEOUT_S:
                self.failure = f"no egress was free within {BUDGET_TIMEOUT_S:.0f} s"
        elif self.stage is Stage.STARTING:
            if waited >= START_TIMEOUT_S:
                self.failed(f"the egress had no sound within {START_TIMEOUT_S:.0f} s", now)
        elif now - self._heard_at >= STALL_TIMEOUT_S:
            self.failed(f"the egress had no sound for {STALL_TIMEOUT_S:.0f} s", now)
        elif self.stage is Stage.OVERLAP:
            if self._aligned_at is None:
                if waited >= OVERLAP_TIMEOUT_S:
                    self.failed(
                        f"nothing was said for {OVERLAP_TIMEOUT_S:.0f} s by which to lay it over the tracks", now
                    )
            elif now - self._aligned_at >= PAUSE_TIMEOUT_S:
                self._take_charge(now)
        elif self.stage is Stage.RETURNING and (self._is_wanted or waited >= PAUSE_TIMEOUT_S):
            self._enter(Stage.COMPOSITE if self._is_wanted else Stage.JOINED, now, f"{self._people} people")

    # --- inside

    @property
    def _is_crowd(self) -> bool:
        return self._people >= (1 if self.mode is Mode.COMPOSITE else 2)

    @property
    def _is_wanted(self) -> bool:
        return self.mode is not Mode.PARTICIPANT and self._is_crowd and not self._obstacle

    def _is_left_alone(self, now: float) -> bool:
        if self._is_crowd or self.stage is Stage.RETURNING:
            return False
        return self.stage is Stage.WAITING or now - self._changed_at >= ALONE_S

    def _take_charge(self, now: float) -> None:
        self._has_begun = True
        self._begun_at = now
        self._enter(Stage.COMPOSITE, now, f"{self._people} people")

    def _enter(self, stage: Stage, now: float, why: str) -> None:
        if stage not in (Stage.COMPOSITE, Stage.RETURNING):
            self._aligned_at = None
        self.stage, self._since, self.detail, self.was_dropped = stage, now, why, False
