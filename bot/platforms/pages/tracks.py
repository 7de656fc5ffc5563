"""The tracks of a page: whose each one is, whether it is muted, and of a mix who is shown as speaking.

Where a track carries now this person's voice and now that one's, and its packets say whose (`contributors`), it is told
of as theirs from the first of these packets that has sound: closed, and opened again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bot.core import events as ev
from bot.drivers.browser.capture import SOUNDS_DBFS
from bot.drivers.browser.page import TrackInfo
from bot.platforms.pages.contributors import Contributors
from bot.platforms.pages.people import Company
from common.audio.pcm import dbfs

if TYPE_CHECKING:
    from bot.audio.frame import AudioFrame

FRESH_S = 0.4
"""From the page's saying who speaks to our hearing it; later it is not believed."""
MAX_SPEAKERS = 100
"""Of one report of who speaks."""
UNHEARD_OF = "somebody"
HELD_S = 10.0
"""A track's sound waits so long for the page to say whose it is, or that it is not muted any more (320 kB). The page is
looked at now and then, and not while a message is written into its chat (9 s). Beyond that the oldest goes."""


@dataclass(slots=True)
class _Track:
    info: TrackInfo
    is_open: bool = False
    owner: str | None = None
    muted: bool = False
    is_doubtful: bool = False
    """Whoever it belongs to was not in the last look: it may be somebody else's by now."""
    sources: frozenset[str] = frozenset()
    """Whose voices are in what is heard of it now: CSRCs, as far as its packets say."""
    is_mix: bool = False
    """There have been several in one packet: it goes from one to the other too often to be anybody's."""
    held: deque[AudioFrame] = field(default_factory=deque)


class PageTracks:
    """What is heard of a page. A `CaptureListener`.

    Args:
        company: Knows who is here, and which tracks the page gives to whom.
        separates: See `bot.platforms.pages.site.Site`.
        report: Takes events.
        audio: Takes the frames of tracks that were reported.
    """

    def __init__(
        self,
        company: Company,
        separates: bool,
        report: Callable[[ev.PlatformEvent], None],
        audio: Callable[[AudioFrame], None],
    ) -> None:
        self._company, self._separates = company, separates
        self._report, self._audio = report, audio
        self._tracks: dict[str, _Track] = {}
        self._contributors = Contributors(time.monotonic())
        self._is_inside = False
        self.has_interface = False
        """Whether the page's own programming interface has ever answered: without it nobody says whose a track is."""

    def enter(self) -> None:
        """We are in the meeting, anew: each track is told again."""
        self._is_inside = True
        self._contributors = Contributors(time.monotonic())
        for track in self._tracks.values():
            track.is_open, track.muted, track.is_doubtful = False, False, False
            track.held.clear()

    def leave(self) -> None:
        """We are outside: nothing is heard of it."""
        self._is_inside = False

    def close_of(self, participant: str) -> None:
        """Somebody has left."""
        self._contributors.left(participant)
        for track in self._tracks.values():
            if track.is_open and track.owner == participant:
                self._close(track)

    def look(self) -> None:
        """The page was looked at: another one may own a track now, or have muted it."""
        for track in self._tracks.values():
            self._open(track)

    def _open(self, track: _Track) -> None:
        """Tells of a track as soon as it is known whose it is, and of its being muted."""
        if track.is_open and self._knows_owners:
            now_of = self._company.owner_of(track.info.page_track_id)
            if now_of is not None and now_of != track.owner:  # SFUs give a few tracks to whoever speaks
                self._close(track)
        if not track.is_open:
            owner = self._owner(track)
            if self._knows_owners and owner is None:
                return
            track.is_open, track.owner = True, owner
            self._report(ev.TrackOpened(track.info.track_id, owner))
            self._let_go(track)
        muted = self._knows_owners and track.owner is not None and self._company.is_muted(track.owner)
        if muted is not track.muted:
            track.muted = muted
            self._report(ev.TrackMuted(track.info.track_id) if muted else ev.TrackUnmuted(track.info.track_id))
        track.is_doubtful = self._knows_owners and track.owner is not None and not self._company.shows(track.owner)
        if not muted and not track.is_doubtful:
            self._let_go(track, since=time.monotonic() - HELD_S)

    def _let_go(self, track: _Track, since: float = float("-inf")) -> None:
        """What was held since then is heard."""
        while track.held:
            frame = track.held.popleft()
            if frame.arrival >= since:
                self._audio(frame)

    @property
    def _knows_owners(self) -> bool:
        """Whether the page says whose its tracks are: it may lack the interface that would."""
        return self._separates and self.has_interface

    def _owner(self, track: _Track) -> str | None:
        """Whose a track is; nobody's where neither the page nor the track itself can say."""
        if not self._knows_owners:
            person = None if track.is_mix else self._contributors.person(track.sources)
            return person if person is not None and self._company.is_here(person, time.monotonic()) else None
        if owner := self._company.owner_of(track.info.page_track_id):
            return owner
        identities = (stream.partition("-")[0] for stream in track.info.stream_ids)
        return next((identity for identity in identities if self._company.shows(identity)), None)

    def _close(self, track: _Track) -> None:
        if not track.is_doubtful:  # else it has been kept for whoever has it now
            track.held.clear()
        track.is_open, track.owner, track.muted, track.is_doubtful = False, None, False, False
        self._report(ev.TrackClosed(track.info.track_id))

    # --- the capture engine's listener

    def track_opened(self, track: TrackInfo) -> None:
        """See `CaptureListener`."""
        self._tracks[track.track_id] = _Track(track)
        if self._is_inside and not self._knows_owners:
            self._open(self._tracks[track.track_id])

    def audio(self, frame: AudioFrame) -> None:
        """See `CaptureListener`."""
        track = self._tracks.get(frame.track_id)
        if track is None or not self._is_inside:
            return
        if not self._knows_owners and dbfs(frame.pcm) > SOUNDS_DBFS:
            self._contributors.sounds(track.sources, frame.arrival)
            if track.is_open and self._owner(track) != track.owner:
                self._close(track)
                self._open(track)
        if track.is_open and not track.muted and not track.is_doubtful:
            self._audio(frame)
        else:
            track.held.append(frame)
            while track.held and frame.arrival - track.held[0].arrival > HELD_S:
                track.held.popleft()

    def track_closed(self, track_id: str) -> None:
        """See `CaptureListener`."""
        track = self._tracks.pop(track_id, None)
        if not self._tracks:  # another connection may number people anew
            self._contributors = Contributors(time.monotonic())
        if track is not None and track.is_open:
            self._report(ev.TrackClosed(track_id))

    def signal(self, name: str, payload: Any) -> None:
        """See `CaptureListener`."""
        if not isinstance(payload, dict):
            return
        if name == "speakers" and self._is_inside and not self._knows_owners:
            self._speakers(payload)
        track = self._tracks.get(str(payload.get("track_id")))
        if track is not None and name == "contributing_sources":
            sources = payload.get("sources")
            track.sources = frozenset(str(one) for one in sources) if isinstance(sources, list) else frozenset()
            track.is_mix |= len(track.sources) > 1
        elif track is not None and name == "capture":  # a page's element plays later than its packets come
            track.is_mix = True

    def _speakers(self, payload: dict[str, Any]) -> None:
        """Who speaks, from our probe in the page.

        A report that is not fresh is none: what a starved page shows is what was, and would give a name to the wrong
        words. Without reports the floor is nobody's (`bot.audio.floor`).
        """
        if not any(track.is_open for track in self._tracks.values()):
            return
        ids, at = payload.get("ids"), payload.get("at")
        now = time.time() * 1000
        is_fresh = isinstance(at, int | float) and now - FRESH_S * 1000 <= at <= now + FRESH_S * 1000
        if isinstance(ids, list) and is_fresh and not payload.get("late"):
            known = {one for one in ids[:MAX_SPEAKERS] if isinstance(one, str) and self._company.knows(one)}
            # with somebody of whom we have not heard yet the floor is nobody's in particular
            others = {UNHEARD_OF, ""} if len(known) < len(ids) else set()
            shown = ev.ActiveSpeakers(frozenset(known | others), time.monotonic())
            self._contributors.shown(shown.participant_ids, shown.at)
            self._report(shown)
