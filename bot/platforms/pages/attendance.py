"""Attendance of a meeting in a web page: looks at it, does what the flow says, reports what page and sound say."""

from __future__ import annotations

import asyncio
import json
import time
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
from playwright.async_api import Error as PlaywrightError

from bot.core import events as ev
from bot.core.orders import Order, Rejoin, SendChat
from bot.drivers.browser.page import MeetingPage
from bot.drivers.browser.stay import stay
from bot.drivers.browser.view import LiveView, live_view
from bot.platforms.orders import Orders, until_told
from bot.platforms.pages import acts
from bot.platforms.pages.door import Guest
from bot.platforms.pages.evidence import begin_trace, drop_trace, keep_evidence
from bot.platforms.pages.flow import Flow
from bot.platforms.pages.hand import Hand
from bot.platforms.pages.look import Look, read_look
from bot.platforms.pages.pack import as_argument, people_argument
from bot.platforms.pages.packs import load_pack, own_text
from bot.platforms.pages.people import Company
from bot.platforms.pages.stage import Stage, stage
from bot.platforms.pages.talk import Talk
from bot.platforms.pages.tracks import PageTracks
from common.contracts.status import MEANINGS, SubCode
from common.destinations.policy import literal
from common.errors import EarshotError

if TYPE_CHECKING:
    from bot.audio.frame import AudioFrame
    from bot.platforms.base import Invitation, Listener
    from bot.platforms.pages.site import Site

OUTSIDE_PAUSE_S = 0.25
"""Between two looks on the way in."""
INSIDE_PAUSE_S = 0.5
"""... in the meeting: who speaks is said by the page's probe in between."""
FAREWELL_S = 0.7
"""For clicking the button that leaves; then the page is closed. With what closing and killing may take: within 2 s."""
VIEWED = "the bot's log says where the page can be seen and used"
LOOPBACK_SWITCHES = ("--allow-loopback-in-peer-connection",)
"""Of Chromium, for a page on this machine: so is its media."""

log = structlog.get_logger(__name__)


async def attend(site: Site, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
    """See `bot.platforms.base.Platform`."""
    return await until_told(_Attendance(site, invitation, listener, orders), orders)


class _Attendance:
    """One bot in one meeting, through as many pages as it takes."""

    def __init__(self, site: Site, invitation: Invitation, listener: Listener, orders: Orders) -> None:
        self._site, self._invitation = site, invitation
        self._listener, self._orders = listener, orders
        self._pack = load_pack(site.name, invitation.browser.selectors_dir)
        guest = Guest(
            invitation.bot_name,
            invitation.passcode or site.passcode,
            can_be_helped=invitation.browser.headless == "window" or invitation.browser.view,
            not_started_s=self._site.settings.not_started_timeout / 1000,
        )
        self._flow = Flow(guest, site.title, time.monotonic())
        self._observe = observe_script(site.name, site.probe, as_argument(self._pack))
        self._company = Company()
        self._tracks = PageTracks(self._company, site.separates, self._report, self._hear)
        self._talk = Talk(site, self._report)
        self._is_admitted = self._is_lost = False
        self._unusable: set[str] = set()
        self._last = Look()
        self._hand: Hand | None = None
        self._view: LiveView | None = None
        self.over = False
        """Nothing is reported any more."""

    async def stay(self) -> SubCode:
        """Joins, and comes back as long as that makes sense, until the meeting is over for us."""
        async with live_view(self._invitation.browser) as self._view:
            try:
                return await self._stay()
            except EarshotError as error:
                if error.code is not SubCode.BROWSER_CRASHED:
                    raise
                raise await self._with_evidence(None, error) from None

    async def _stay(self) -> SubCode:
        people = json.dumps(people_argument(self._pack))
        probes = [f"(earshot) => ({_script('speakers.js')})(earshot, {people})"]
        return await stay(
            self._invitation.browser,
            self._tracks,
            self._visit,
            self._page_died,
            probes=probes,
            arguments=LOOPBACK_SWITCHES if is_on_this_machine(self._site.url) else (),
        )

    # --- the page

    async def _visit(self, page: MeetingPage, launch: int) -> SubCode:
        """One page, from its opening to the end of the meeting."""
        self._hand = hand = Hand(page)
        self._show(page)
        try:
            if self._invitation.browser.trace:
                await begin_trace(page)
            await self._open_page(page, again=launch > 0)
            while True:
                code = await self._look(page, hand)
                if code is not None:
                    return code
                await self._obey(await self._next_order(), hand)
        except EarshotError as error:
            if error.code is SubCode.BROWSER_CRASHED:
                raise
            page.is_over = error.code is not SubCode.ROOM_UNREACHABLE  # that may come of its death
            raise await self._with_evidence(page, error) from None

    async def _with_evidence(self, page: MeetingPage | None, error: EarshotError) -> EarshotError:
        names = [*self._company.names, *(person.name for person in self._last.people)]
        evidence = await keep_evidence(page, self._pack, self._invitation, str(error.code), self._last, names)
        return EarshotError(error.code, str(error), evidence)

    async def _open_page(self, page: MeetingPage, again: bool) -> None:
        """Opens the meeting's page. One that does not answer on the way back is tried again by the flow."""
        self._talk.reopened()
        try:
            if page.page.url != "about:blank":  # a URL that differs in nothing but its fragment is not opened anew
                await page.goto("about:blank")
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
            answer = await page.evaluate(self._observe)
        except (PlaywrightError, TimeoutError):  # it goes elsewhere at this moment
            answer = None
        look, now = read_look(answer), time.monotonic()
        self._last = self._last if answer is None else look
        self._tracks.has_interface |= look.joined is not None
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
            await self._talk.settle_in(look, hand, self._look_again, time.monotonic())
        return None

    async def _do(self, do: acts.Do, page: MeetingPage, hand: Hand) -> SubCode | None:
        match do:
            case acts.Click(control, spot):
                log.debug("page.click", control=control)
                await hand.click(spot)
            case acts.Fill(control, spot, text):
                log.debug("page.fill", control=control)
                await hand.fill(spot, text)
            case acts.Wake():
                await hand.wake()
            case acts.Reopen():
                await self._open_page(page, again=True)
            case acts.Note(what, control):
                log.warning("page.step", what=what, control=control)
            case acts.InLobby():
                self._go_outside()
                self._report(ev.LobbyEntered())
            case acts.Help(reason):
                self._go_outside()
                self._report(ev.HelpNeeded(reason if self._view is None else f"{reason}; {VIEWED}"))
                if self._view is not None:
                    self._view.announce()
            case acts.Lost():
                self._lose()
            case acts.Inside():
                self._enter()
                if self._invitation.browser.trace:
                    await drop_trace(page)
            case acts.Over(code, detail):
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
                await self._talk.write(message, hand, self._look_again)
            case Rejoin() if self._is_admitted:
                for do in self._flow.rejoin():
                    await self._do(do, hand.page, hand)

    async def _look_again(self) -> Look:
        """Another look, for somebody who waits for a control."""
        return read_look(await self._hand_page().evaluate(self._observe))

    def _hand_page(self) -> MeetingPage:
        assert self._hand is not None
        return self._hand.page

    async def farewell(self) -> None:
        """Clicks what leaves, as far as that is possible in the time there is."""
        if self._hand is None or not self._is_admitted or self._hand.page.gone.done():
            return
        try:
            async with asyncio.timeout(FAREWELL_S):
                await self._hand.leave(self._look_again)
        except (TimeoutError, PlaywrightError, EarshotError):
            pass  # the page is closed in any case

    # --- what we are told to say

    def _report(self, event: ev.PlatformEvent) -> None:
        if not self.over:
            self._listener.event(event)

    def _hear(self, frame: AudioFrame) -> None:
        if not self.over:
            self._listener.audio(frame)

    def _enter(self) -> None:
        """Inside: for the first time, from the lobby, or after a break."""
        self._talk.enter()
        self._show(None)
        if not self._is_admitted:
            self._is_admitted, self._is_lost = True, False
            self._report(ev.Admitted())
            self._company.forget()
            self._tracks.enter()
        elif self._is_lost:
            self._is_lost = False
            self._report(ev.TransportBack())

    def _show(self, page: MeetingPage | None) -> None:
        """Whoever helps sees the page outside the meeting, and nothing of the meeting."""
        if self._view is not None:
            self._view.show(page)

    def _go_outside(self) -> None:
        self._show(self._hand.page if self._hand is not None else None)
        self._is_admitted = self._is_lost = False
        self._tracks.leave()

    def _lose(self) -> None:
        if self._is_admitted and not self._is_lost:
            self._is_lost = True
            self._report(ev.TransportLost())

    def _page_died(self) -> None:
        """The engine opens another page."""
        self._hand = None
        self._show(None)
        self._lose()

    def _report_room(self, look: Look, now: float) -> None:
        for event in self._company.look(look, now):
            if isinstance(event, ev.ParticipantLeft):
                self._tracks.close_of(event.participant_id)
            self._report(event)
        self._tracks.look()
        self._talk.read(look, now)


def is_on_this_machine(url: str) -> bool:
    """Whether a page is served here: then its media needs `LOOPBACK_SWITCHES`."""
    address = literal(urlsplit(url).hostname or "")
    return address is not None and address.is_loopback


def _script(name: str) -> str:
    """A JavaScript function of ours."""
    return _function(files("bot.platforms.pages").joinpath(name).read_text(encoding="utf-8"))


def _function(text: str) -> str:
    return text.rstrip().removesuffix(";")


def observe_script(platform: str, probe: str | None, pack: str) -> str:
    """A JavaScript function that looks at the platform's page.

    The pack (`as_argument`, or an expression for it) is a part of it, so that nothing of the page's own, which may have
    replaced `JSON`, is asked to read it.
    """
    own = "null" if probe is None else _function(own_text(platform, probe))
    return f"() => ({_script('observe.js')})({pack}, {own})"
