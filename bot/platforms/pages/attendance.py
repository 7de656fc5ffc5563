"""Attendance of a meeting in a web page: looks at it, does what the flow says, reports what page and sound say."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog
from playwright.async_api import Error as PlaywrightError

from bot.core import events as ev
from bot.core.orders import Order, Rejoin, SendChat
from bot.drivers.browser.page import MeetingPage, TrackInfo
from bot.drivers.browser.stay import stay
from bot.platforms.pages import flow as fl
from bot.platforms.pages.evidence import keep_evidence
from bot.platforms.pages.hand import Hand
from bot.platforms.pages.lines import Captions, new_lines
from bot.platforms.pages.look import Line, Look, read_look
from bot.platforms.pages.pack import as_argument
from bot.platforms.pages.packs import load_pack, own_text
from bot.platforms.pages.people import Company
from bot.platforms.pages.stage import Stage, stage
from common.contracts.status import MEANINGS, SubCode
from common.destinations.policy import literal
from common.errors import EarshotError

if TYPE_CHECKING:
    from bot.audio.frame import AudioFrame
    from bot.platforms.base import Invitation, Listener
    from bot.platforms.orders import Orders
    from bot.platforms.pages.site import Site

OUTSIDE_PAUSE_S = 0.25
"""Between two looks on the way in."""
INSIDE_PAUSE_S = 0.5
"""... in the meeting: who speaks is said by the page's probe in between."""
FAREWELL_S = 0.8
"""For clicking the button that leaves; then the page is closed."""
LOOPBACK_SWITCHES = ("--allow-loopback-in-peer-connection",)
"""Of Chromium, for a page on this machine: so is its media."""
FRESH_S = 0.4
"""From the page's saying who speaks to our hearing it; later it is not believed."""
MAX_SPEAKERS = 100
"""Of one report of who speaks."""
UNHEARD_OF = "somebody"
HELD_S = 3.0
"""A track's sound waits so long for the page to say whose it is; beyond that the oldest goes."""

log = structlog.get_logger(__name__)


async def attend(site: Site, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
    """See `bot.platforms.base.Platform`."""
    attendance = Attendance(site, invitation, listener, orders)
    staying = asyncio.create_task(attendance.stay())
    asked = asyncio.create_task(orders.leaving.wait())
    is_leaving = False
    try:
        await asyncio.wait({staying, asked}, return_when=asyncio.FIRST_COMPLETED)
        if is_leaving := not staying.done():
            attendance.over = True
            await attendance.farewell()
    finally:
        attendance.over = True
        staying.cancel()
        asked.cancel()
        await asyncio.gather(staying, asked, return_exceptions=True)
    return SubCode.LEFT_BY_COMMAND if is_leaving else staying.result()


@dataclass(slots=True)
class _Track:
    info: TrackInfo
    is_open: bool = False
    owner: str | None = None
    muted: bool = False
    held: deque[AudioFrame] = field(default_factory=deque)


class Attendance:
    """One bot in one meeting, through as many pages as it takes. Hears the page as its `CaptureListener`."""

    def __init__(self, site: Site, invitation: Invitation, listener: Listener, orders: Orders) -> None:
        self._site, self._invitation = site, invitation
        self._listener, self._orders = listener, orders
        self._pack = load_pack(site.name, invitation.browser.selectors_dir)
        guest = fl.Guest(
            invitation.bot_name,
            invitation.passcode or site.passcode,
            can_be_helped=invitation.browser.headless == "window",
            not_started_s=self._site.settings.not_started_timeout / 1000,
        )
        self._flow = fl.Flow(guest, site.title, time.monotonic())
        self._observe = observe_script(site.name, site.probe)
        self._argument = as_argument(self._pack)
        self._company = Company()
        self._tracks: dict[str, _Track] = {}
        self._is_admitted = self._is_lost = False
        self._chat: tuple[Line, ...] | None = None
        self._captions = Captions()
        self._announcement = site.settings.announcement
        self._has_captions = False
        self._unusable: set[str] = set()
        self._hand: Hand | None = None
        self._last = Look()
        self._has_interface = False  # of the page's own, as soon as one look found it
        self.over = False
        """Nothing is reported any more."""

    async def stay(self) -> SubCode:
        """Joins, and comes back as long as that makes sense, until the meeting is over for us."""
        people = json.dumps(self._argument["people"])
        probes = [f"(earshot) => ({_script('speakers.js')})(earshot, {people})"]
        return await stay(
            self._invitation.browser,
            self,
            self._visit,
            self._page_died,
            probes=probes,
            arguments=LOOPBACK_SWITCHES if _is_on_this_machine(self._site.url) else (),
        )

    # --- the page

    async def _visit(self, page: MeetingPage, launch: int) -> SubCode:
        """One page, from its opening to the end of the meeting."""
        self._hand = hand = Hand(page)
        try:
            await self._open_page(page, again=launch > 0)
            while True:
                code = await self._look(page, hand)
                if code is not None:
                    return code
                await self._obey(await self._next_order(), hand)
        except EarshotError as error:
            if error.code is SubCode.BROWSER_CRASHED:
                raise
            evidence = await keep_evidence(page, self._pack, self._invitation.browser.evidence_dir, str(error.code))
            raise EarshotError(error.code, str(error), evidence) from None

    async def _open_page(self, page: MeetingPage, again: bool) -> None:
        """Opens the meeting's page. One that does not answer on the way back is tried again by the flow."""
        try:
            if again:
                await page.goto("about:blank")  # a URL that differs in nothing but its fragment is not opened anew
            await page.goto(self._site.url)
        except EarshotError as error:
            if error.code is not SubCode.ROOM_UNREACHABLE or not self._is_lost:
                raise
            log.warning("page.unreachable", platform=self._site.name, why=str(error))
        if again:
            self._flow.reopened(time.monotonic())

    async def _look(self, page: MeetingPage, hand: Hand) -> SubCode | None:
        """One look, and what follows from it. Returns how the meeting ended for us; None: it goes on."""
        try:
            answer = await page.evaluate(self._observe, self._argument)
        except (PlaywrightError, TimeoutError):  # it goes elsewhere at this moment
            answer = None
        look, now = read_look(answer), time.monotonic()
        self._last, self._has_interface = look, self._has_interface or look.joined is not None
        for selector in set(look.unusable) - self._unusable:
            self._unusable.add(selector)
            log.warning("selectors.unusable", platform=self._site.name, selector=selector)
        seen = stage(look, self._pack.sign_in_hosts, self._pack.people.prove)
        if seen is not self._flow.stage:
            log.info("page.stage", platform=self._site.name, stage=seen, host=look.host)
        for do in self._flow.see(look, seen, now):
            if (code := await self._do(do, page, hand)) is not None:
                return code
        if seen is Stage.INSIDE and self._flow.is_inside and self._is_admitted:
            self._report_room(look, time.monotonic())
            await self._settle_in(hand)
        return None

    async def _do(self, do: fl.Do, page: MeetingPage, hand: Hand) -> SubCode | None:
        match do:
            case fl.Click(control, spot):
                log.debug("page.click", control=control)
                await hand.click(spot)
            case fl.Fill(control, spot, text):
                log.debug("page.fill", control=control)
                await hand.fill(spot, text)
            case fl.Wake():
                await hand.wake()
            case fl.Reopen():
                await self._open_page(page, again=True)
            case fl.Note(what, control):
                log.warning("page.step", what=what, control=control)
            case fl.InLobby():
                self._is_admitted = self._is_lost = False
                self._report(ev.LobbyEntered())
            case fl.Help(reason):
                self._is_admitted = self._is_lost = False
                self._report(ev.HelpNeeded(reason))
            case fl.Lost():
                self._lose()
            case fl.Inside():
                self._enter()
            case fl.Over(code, detail):
                if MEANINGS[code].completed or code is SubCode.REMOVED:
                    return code
                raise EarshotError(code, detail)
        return None

    async def _next_order(self) -> Order | None:
        try:
            async with asyncio.timeout(INSIDE_PAUSE_S if self._flow.is_inside else OUTSIDE_PAUSE_S):
                return await self._orders.next()
        except TimeoutError:
            return None

    async def _obey(self, order: Order | None, hand: Hand) -> None:
        match order:
            case SendChat(message) if self._is_admitted:
                if not await hand.write(message, self._controls):
                    log.warning("page.chat", what="the message could not be written", platform=self._site.name)
            case Rejoin() if self._is_admitted:
                for do in self._flow.rejoin():
                    await self._do(do, hand.page, hand)

    async def _controls(self) -> Look:
        """Another look, for somebody who waits for a control."""
        return read_look(await self._hand_page().evaluate(self._observe, self._argument))

    def _hand_page(self) -> MeetingPage:
        assert self._hand is not None
        return self._hand.page

    async def _settle_in(self, hand: Hand) -> None:
        """Once inside: what was asked for. The switch of captions may be hidden at first; clicked twice it is off."""
        spot = self._last.controls.get("captions_on")
        if self._site.settings.captions and not self._has_captions and spot is not None:
            self._has_captions = True
            await hand.click(spot)
        announcement, self._announcement = self._announcement, None
        if announcement is not None and not await hand.write(announcement, self._controls):
            log.warning("page.chat", what="the announcement could not be written", platform=self._site.name)

    async def farewell(self) -> None:
        """Clicks what leaves, as far as that is possible in the time there is."""
        if self._hand is None or not self._is_admitted or self._hand.page.gone.done():
            return
        try:
            async with asyncio.timeout(FAREWELL_S):
                await self._hand.leave(self._controls)
        except (TimeoutError, PlaywrightError, EarshotError):
            pass  # the page is closed in any case

    # --- what we are told to say

    def _report(self, event: ev.PlatformEvent) -> None:
        if not self.over:
            self._listener.event(event)

    def _enter(self) -> None:
        """Inside: for the first time, from the lobby, or after a break."""
        self._chat = None  # what stands there now is from before
        if not self._is_admitted:
            self._is_admitted, self._is_lost = True, False
            self._report(ev.Admitted())
            self._company.forget()
            for track in self._tracks.values():
                track.is_open, track.muted = False, False
        elif self._is_lost:
            self._is_lost = False
            self._report(ev.TransportBack())

    def _lose(self) -> None:
        if self._is_admitted and not self._is_lost:
            self._is_lost = True
            self._report(ev.TransportLost())

    def _page_died(self) -> None:
        """The engine opens another page."""
        self._hand = None
        self._lose()

    # --- people and their tracks

    def _report_room(self, look: Look, now: float) -> None:
        events = self._company.look(look, now)
        for event in events:
            if isinstance(event, ev.ParticipantLeft):
                self._close_tracks_of(event.participant_id)
            self._report(event)
        for track in self._tracks.values():
            self._open(track)
        self._report_lines(look, now)

    def _report_lines(self, look: Look, now: float) -> None:
        for line in new_lines(self._chat, look.chat) if self._chat is not None else ():
            self._report(ev.ChatReceived(self._identity(line.author), line.author, line.text))
        self._chat = look.chat
        if self._site.settings.captions:
            for line in self._captions.look(look.captions, now):
                self._report(ev.CaptionHeard(self._identity(line.author), line.author, line.text))

    def _identity(self, name: str) -> str | None:
        """Who has this name, if exactly one has it."""
        found = [person.id for person in self._last.people if person.name == name]
        return found[0] if len(found) == 1 else None

    def _open(self, track: _Track) -> None:
        """Tells of a track as soon as it is known whose it is, and of its being muted."""
        if track.is_open and self._knows_owners:
            now_of = self._company.owner_of(track.info.page_track_id)
            if now_of is not None and now_of != track.owner:  # SFUs give a few tracks to whoever speaks
                self._close(track)
        if not track.is_open:
            owner = self._owner(track.info)
            if self._knows_owners and owner is None:
                return
            track.is_open, track.owner = True, owner
            self._report(ev.TrackOpened(track.info.track_id, owner))
        if track.owner is not None and (muted := self._company.is_muted(track.owner)) is not track.muted:
            track.muted = muted
            self._report(ev.TrackMuted(track.info.track_id) if muted else ev.TrackUnmuted(track.info.track_id))
        while track.held:
            frame = track.held.popleft()
            if not track.muted and not self.over:
                self._listener.audio(frame)

    @property
    def _knows_owners(self) -> bool:
        """Whether the page says whose its tracks are: it may lack the interface that would."""
        return self._site.separates and self._has_interface

    def _owner(self, info: TrackInfo) -> str | None:
        """Whose a track is; nobody's where the page cannot say."""
        if not self._knows_owners:
            return None
        if owner := self._company.owner_of(info.page_track_id):
            return owner
        identities = (stream.partition("-")[0] for stream in info.stream_ids)
        return next((identity for identity in identities if self._company.knows(identity)), None)

    def _close_tracks_of(self, participant: str) -> None:
        for track in self._tracks.values():
            if track.is_open and track.owner == participant:
                self._close(track)

    def _close(self, track: _Track) -> None:
        track.is_open, track.owner, track.muted = False, None, False
        self._report(ev.TrackClosed(track.info.track_id))

    # --- the capture engine's listener

    def track_opened(self, track: TrackInfo) -> None:
        """See `CaptureListener`."""
        self._tracks[track.track_id] = _Track(track)
        if self._is_admitted and not self._knows_owners:
            self._open(self._tracks[track.track_id])

    def audio(self, frame: AudioFrame) -> None:
        """See `CaptureListener`."""
        track = self._tracks.get(frame.track_id)
        if track is None or self.over or not self._is_admitted:
            return
        if track.is_open:
            if not track.muted:
                self._listener.audio(frame)
        else:
            track.held.append(frame)
            while track.held and frame.arrival - track.held[0].arrival > HELD_S:
                track.held.popleft()

    def track_closed(self, track_id: str) -> None:
        """See `CaptureListener`."""
        track = self._tracks.pop(track_id, None)
        if track is not None and track.is_open:
            self._report(ev.TrackClosed(track_id))

    def signal(self, name: str, payload: Any) -> None:
        """See `CaptureListener`: who speaks, from our probe in the page.

        A report that is not fresh is none: what a starved page shows is what was, and would give a name to the wrong
        words. Without reports the floor is nobody's (`bot.audio.floor`).
        """
        is_mixed = any(track.is_open and track.owner is None for track in self._tracks.values())
        if name != "speakers" or not self._is_admitted or not is_mixed or not isinstance(payload, dict):
            return
        ids, at = payload.get("ids"), payload.get("at")
        now = time.time() * 1000
        is_fresh = isinstance(at, int | float) and now - FRESH_S * 1000 <= at <= now + FRESH_S * 1000
        if isinstance(ids, list) and is_fresh and not payload.get("late"):
            known = {one for one in ids[:MAX_SPEAKERS] if isinstance(one, str) and self._company.knows(one)}
            # with somebody of whom we have not heard yet the floor is nobody's in particular
            others = {UNHEARD_OF, ""} if len(known) < len(ids) else set()
            self._report(ev.ActiveSpeakers(frozenset(known | others), time.monotonic()))


def _is_on_this_machine(url: str) -> bool:
    address = literal(urlsplit(url).hostname or "")
    return address is not None and address.is_loopback


def _script(name: str) -> str:
    """A JavaScript function of ours."""
    return _function(files("bot.platforms.pages").joinpath(name).read_text(encoding="utf-8"))


def _function(text: str) -> str:
    return text.rstrip().removesuffix(";")


def observe_script(platform: str, probe: str | None) -> str:
    """A JavaScript function that looks at the platform's page; its argument is the pack (`as_argument`)."""
    own = "null" if probe is None else _function(own_text(platform, probe))
    return f"(pack) => ({_script('observe.js')})(pack, {own})"
