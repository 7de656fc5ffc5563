"""Attendance of a LiveKit room through a page in Chromium: livekit-client says who is there, our engine what is heard.

The page's room is looked at whenever it changes, and the differences are reported, as on `livekit`. A track is known by
the id that it has in the page: so each captured track is somebody's, or nobody's and not heard.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import structlog
from pydantic import BaseModel, Field, ValidationError

from bot.audio.frame import AudioFrame
from bot.core.events import Admitted, ParticipantKind, TransportBack, TransportLost
from bot.drivers.browser.page import MeetingPage, PageGoneError, TrackInfo
from bot.drivers.browser.stay import stay
from bot.platforms.differences import Seen, differences
from bot.platforms.orders import Orders, until_told
from common.contracts.status import SubCode
from common.errors import EarshotError

if TYPE_CHECKING:
    from bot.platforms.base import Invitation, Listener

JOIN_TIMEOUT_S = 12.0
"""From the page to a connected room; with the start of Chromium and the page's own loading within 20 s."""
LEAVE_TIMEOUT_S = 0.5
GIVE_UP_S = 120.0
"""livekit-client gives up reconnecting sooner; until then the page is opened anew."""
REJOIN_PAUSE_S = 0.5
SETTLE_S = 0.25
"""Departures wait so long: a reconnect begins by taking everybody away."""
_ENDINGS = {
    2: SubCode.DUPLICATE_IDENTITY,
    4: SubCode.REMOVED,
    5: SubCode.MEETING_ENDED,
    10: SubCode.MEETING_ENDED,
}
"""livekit-client's DisconnectReason."""
_PEOPLE = {0, 3, 7}
"""ParticipantKind: standard, SIP, connector."""

log = structlog.get_logger(__name__)


class _Track(BaseModel):
    sid: str = Field(max_length=64)
    media: str | None = Field(max_length=64)
    muted: bool
    source: str = Field(max_length=64)
    encrypted: bool


class _Person(BaseModel):
    identity: str = Field(min_length=1, max_length=256)
    name: str = Field(max_length=256)
    kind: int | None = None
    hidden: bool = False
    tracks: list[_Track] = Field(max_length=16)


class _Room(BaseModel):
    state: Literal["disconnected", "connecting", "connected", "reconnecting", "signalReconnecting"]
    decrypts: bool
    people: list[_Person] = Field(max_length=500)


async def attend(invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
    """Opens the page, which joins, and listens until it is over (see `bot.platforms.base.Platform`)."""
    return await until_told(_Attendance(invitation, listener), orders)


class _Attendance:
    """What has been reported of a room, over all its pages. A `CaptureListener`."""

    def __init__(self, invitation: Invitation, listener: Listener) -> None:
        self._browser = invitation.browser
        self._url = (invitation.meeting_url or "").removeprefix("livekit+")
        self._url = self._url.replace("{token}", quote(invitation.token or "", safe=""))
        self._listener = listener
        self._page: MeetingPage | None = None
        self._awake = asyncio.Event()
        self._room: _Room | None = None
        self._reason: int | None = None
        self._failure: str | None = None
        self._admitted = self._away = False
        self._lost_at = 0.0
        self._seen: dict[str, Seen] = {}
        self._captured: dict[str, str] = {}  # the engine's id of a track -> its id in the page
        self._sids: dict[str, str] = {}  # id in the page -> LiveKit's, of those that may be heard
        self.over = False
        """Nothing is reported any more."""

    # --- the page's voice

    def track_opened(self, track: TrackInfo) -> None:
        """See `CaptureListener`."""
        self._captured[track.track_id] = track.page_track_id

    def audio(self, frame: AudioFrame) -> None:
        """See `CaptureListener`."""
        sid = self._sids.get(self._captured.get(frame.track_id, ""))
        if sid is not None and not self.over:
            self._listener.audio(replace(frame, track_id=sid))

    def track_closed(self, track_id: str) -> None:
        """See `CaptureListener`."""
        self._captured.pop(track_id, None)

    def signal(self, name: str, payload: Any) -> None:
        """See `CaptureListener`."""
        try:
            if name == "room":
                self._room = _Room.model_validate(payload)
            elif name == "disconnected":
                self._reason = int(payload["reason"])
            elif name == "failed":
                self._failure = str(payload["why"])
        except (ValidationError, TypeError, KeyError, ValueError, OverflowError):
            log.warning("livekit_web_malformed_signal", name=name)
        if name == "room" and self._loses_somebody():
            asyncio.get_running_loop().call_later(SETTLE_S, self._awake.set)
        else:
            self._awake.set()

    # --- a stay

    async def stay(self) -> SubCode:
        """Opens the page, and another when it dies, until the meeting is over."""
        probe = resources.files(__package__).joinpath("room.js").read_text(encoding="utf-8")
        return await stay(self._browser, self, self.visit, self.lost, probes=[probe], mix=False)

    async def visit(self, page: MeetingPage, launch: int) -> SubCode:
        """Joins on this page and stays until it is over."""
        self._page = page
        while True:
            try:
                end = await self._enter_and_stay(page)
            except PageGoneError:
                raise
            except EarshotError as error:
                if not self._admitted:
                    raise
                if time.monotonic() > self._lost_at + GIVE_UP_S:
                    words = f"the connection to the LiveKit room is gone for good: {error}"
                    raise EarshotError(SubCode.CONNECTION_LOST, words) from None
                end = None
            if end is not None:
                return end
            self.lost()
            await asyncio.sleep(REJOIN_PAUSE_S)

    async def _enter_and_stay(self, page: MeetingPage) -> SubCode | None:
        """None: the connection is lost, and the page may be opened anew."""
        await page.goto("about:blank")  # the same URL with another fragment would not load again
        self._forget()
        await page.goto(self._url)
        try:
            async with asyncio.timeout(JOIN_TIMEOUT_S):
                while not self._is_connected():
                    self._refuse_if_refused()
                    await self._wake()
        except TimeoutError:
            words = (
                f"the page opened and did not join a LiveKit room within {JOIN_TIMEOUT_S:.0f} s: it must show its Room"
            )
            raise EarshotError(SubCode.JOIN_TIMEOUT, f"{words} as window.__lk_room") from None
        if not self._admitted:
            self._admitted = True
            self._listener.event(Admitted())
        while (reason := self._ended()) is None:
            self._look()
            await self._wake()
        return _ENDINGS.get(reason)

    def _forget(self) -> None:
        """What the page before this one said is no more."""
        self._room, self._reason, self._failure = None, None, None

    def _ended(self) -> int | None:
        return self._reason

    def _is_connected(self) -> bool:
        return self._room is not None and self._room.state == "connected"

    def _refuse_if_refused(self) -> None:
        if self._failure is not None:
            raise EarshotError(SubCode.JOIN_REFUSED, f"the page could not join its LiveKit room: {self._failure}")
        if self._reason is not None and (end := _ENDINGS.get(self._reason)):
            raise EarshotError(end, "the LiveKit room was closed to us while we joined")

    async def _wake(self) -> None:
        await self._awake.wait()
        self._awake.clear()

    def lost(self) -> None:
        """The connection, or the page, is gone, and is had again."""
        if self._admitted and not self._away:
            self._away, self._lost_at = True, time.monotonic()
            self._sids = {}
            self._listener.event(TransportLost())

    def _look(self) -> None:
        """Brings what we have reported up to what the page's room looks like."""
        room = self._room
        if room is None or room.state == "disconnected":
            return
        if room.state != "connected":
            self.lost()
            return
        if self._away:
            self._away = False
            self._listener.event(TransportBack())
        seen = self._seen_in(room)
        for event in differences(self._seen, seen):
            self._listener.event(event)
        self._seen = seen
        muted = {sid for one in seen.values() for sid, is_muted in one.tracks.items() if is_muted}
        known = {sid for one in seen.values() for sid in one.tracks} - muted
        self._sids = {
            track.media: track.sid
            for person in room.people
            for track in person.tracks
            if track.media is not None and track.sid in known
        }

    def _seen_in(self, room: _Room) -> dict[str, Seen]:
        seen = {}
        for person in room.people:
            is_person = person.kind in (*_PEOPLE, None) and not person.hidden
            kind = ParticipantKind.PERSON if is_person else ParticipantKind.SERVICE
            heard = [one for one in person.tracks if is_person and one.source != "screen_share_audio"]
            closed = frozenset(one.sid for one in heard if one.encrypted and not room.decrypts)
            seen[person.identity] = Seen(person.name, kind, {one.sid: one.muted for one in heard}, closed)
        return seen

    def _loses_somebody(self) -> bool:
        return self._room is not None and bool(self._seen.keys() - {one.identity for one in self._room.people})

    async def farewell(self) -> None:
        """Lets the page leave its room, so that the others see us go at once."""
        from playwright.async_api import Error

        if self._page is not None and not self._page.gone.done():
            with contextlib.suppress(TimeoutError, EarshotError, Error):  # it is closed all the same
                await self._page.evaluate("() => window.__lk_room?.disconnect()", timeout=LEAVE_TIMEOUT_S)
