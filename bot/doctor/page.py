"""A meeting's page as it is now, looked at with the platform's selector pack: what of the pack is found there.

Cookies and hints are put away, as a bot would. Whether to join is asked only if that is wanted; then we leave again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from playwright.async_api import Error as PlaywrightError

from bot.doctor.findings import Finding, Verdict
from bot.drivers.browser.page import MeetingPage, open_page
from bot.platforms.pages import acts
from bot.platforms.pages.attendance import LOOPBACK_SWITCHES, is_on_this_machine, observe_script
from bot.platforms.pages.door import Door, Guest
from bot.platforms.pages.evidence import keep_evidence
from bot.platforms.pages.flow import FAILURES, HELP, Flow
from bot.platforms.pages.hand import Hand
from bot.platforms.pages.look import Look, read_look
from bot.platforms.pages.pack import CONTROLS, Pack, as_argument, plain
from bot.platforms.pages.packs import load_pack
from bot.platforms.pages.stage import Stage, stage
from common.contracts.status import SubCode
from common.errors import EarshotError

if TYPE_CHECKING:
    from typing import Any

    from bot.audio.frame import AudioFrame
    from bot.drivers.browser.page import TrackInfo
    from bot.platforms.base import Invitation
    from bot.platforms.pages import PagePlatform

WATCH_S = 20.0
"""For a page to show something that the pack knows."""
JOIN_S = 60.0
"""For the lobby or the meeting, where joining was asked for."""
SETTLED_S = 2.0
"""What it shows must stand so long."""
LOOK_S = 0.25

_ARRIVED = (Stage.DOOR, Stage.LOBBY, Stage.INSIDE)


@dataclass(slots=True)
class _Seen:
    """All looks together."""

    stage: Stage = Stage.UNKNOWN
    last: Look = field(default_factory=Look)
    found: dict[str, str] = field(default_factory=dict)
    unusable: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    over: acts.Over | None = None


class _Deaf:
    """A `CaptureListener` that hears nothing."""

    def track_opened(self, track: TrackInfo) -> None:
        """Nothing."""

    def audio(self, frame: AudioFrame) -> None:
        """Nothing."""

    def track_closed(self, track_id: str) -> None:
        """Nothing."""

    def signal(self, name: str, payload: Any) -> None:
        """Nothing."""


async def examine_page(platform: PagePlatform, invitation: Invitation, *, join: bool) -> list[Finding]:
    """Opens the page and says what is found there; evidence is kept as `browser` of the invitation says.

    Args:
        platform: Whose page it is.
        invitation: Names the meeting.
        join: Whether to ask to be let in, and to leave again.
    """
    site = platform.site(invitation)
    pack = load_pack(platform.name, invitation.browser.selectors_dir)
    switches = LOOPBACK_SWITCHES if is_on_this_machine(site.url) else ()
    seen = _Seen()
    try:
        async with open_page(invitation.browser, _Deaf(), mix=False, arguments=switches) as page:
            await page.goto(site.url)
            look = _Looking(page, pack, observe_script(platform.name, site.probe, as_argument(pack)), seen)
            await (_join(look, invitation, site.title) if join else _watch(look))
            evidence = await keep_evidence(page, pack, invitation, "doctor", seen.last, seen.names)
    except EarshotError as error:
        return [Finding("page", Verdict.FAILS, str(error), "see docs/browser.md", error.code)]
    return [_page(seen, join), *_pack(pack, seen), *_evidence(evidence)]


class _Looking:
    """Looks at one page, and remembers."""

    def __init__(self, page: MeetingPage, pack: Pack, script: str, seen: _Seen) -> None:
        self.page, self.seen = page, seen
        self._pack, self._script = pack, script

    async def __call__(self) -> tuple[Look, Stage]:
        """One look, and what it means."""
        try:
            look = read_look(await self.page.evaluate(self._script))
        except (PlaywrightError, TimeoutError):  # it goes elsewhere at this moment
            look = Look()
        means = stage(look, self._pack.sign_in_hosts, self._pack.people.prove)
        seen = self.seen
        seen.stage, seen.last = means, look
        seen.found |= look.found
        seen.unusable |= set(look.unusable)
        seen.names |= {person.name for person in look.people}
        return look, means


async def _watch(look: _Looking) -> None:
    """Until the page has shown one thing that the pack knows for a while; only what lies over it is put away."""
    door, hand = Door(Guest("")), Hand(look.page)
    end = time.monotonic() + WATCH_S
    known, since = Stage.UNKNOWN, time.monotonic()
    while (now := time.monotonic()) < end:
        seen, means = await look()
        if means is not known:
            known, since = means, now
        cleared = door.clear_the_way(seen, now)
        for do in cleared:
            if isinstance(do, acts.Click):
                await hand.click(do.spot)
        if known is not Stage.UNKNOWN and not cleared and now - since >= SETTLED_S:
            return
        await asyncio.sleep(LOOK_S)


async def _join(look: _Looking, invitation: Invitation, title: str) -> None:
    """As a bot would, to the lobby or the meeting, or to whatever keeps us out; then we leave."""
    flow = Flow(Guest(invitation.bot_name, invitation.passcode), title, time.monotonic())
    hand, end = Hand(look.page), time.monotonic() + JOIN_S
    is_over = False
    while not is_over and time.monotonic() < end:
        seen, means = await look()
        for do in flow.see(seen, means, time.monotonic()):
            match do:
                case acts.Click(_, spot):
                    await hand.click(spot)
                case acts.Fill(_, spot, text):
                    await hand.fill(spot, text)
                case acts.Wake():
                    await hand.wake()
                case acts.Over():
                    look.seen.over, is_over = do, True
                case acts.Inside() | acts.InLobby() | acts.Help() | acts.Reopen():
                    is_over = True
        await asyncio.sleep(LOOK_S)

    async def again() -> Look:
        return (await look())[0]

    arrived = look.seen.stage
    if arrived in (Stage.INSIDE, Stage.LOBBY):
        with suppress(PlaywrightError, TimeoutError, EarshotError):
            async with asyncio.timeout(5):
                await hand.leave(again)
        look.seen.stage = arrived


# --- what is said of it


def _page(seen: _Seen, join: bool) -> Finding:
    code, words = {**FAILURES, **HELP}.get(seen.stage, (None, ""))
    if seen.over is not None:
        code, words = seen.over.code, seen.over.detail
    if seen.stage in _ARRIVED and code is None:
        more = "" if join or seen.stage is not Stage.DOOR else "; nobody was asked to let us in (`--join`)"
        return Finding("page", Verdict.WORKS, f"it shows: {seen.stage}{more}")
    if code is not None:
        return Finding("page", Verdict.FAILS, f"it shows: {seen.stage}", words or str(seen.stage), code)
    if seen.stage is Stage.NOT_STARTED:
        return Finding("page", Verdict.DOUBTFUL, "it shows that the meeting has not begun")
    remedy = (
        "the page has changed, or says something that the pack does not know: docs/selectors.md says how to mend it"
    )
    code = SubCode.JOIN_REFUSED if seen.stage is Stage.BLOCKED else SubCode.JOIN_TIMEOUT
    return Finding("page", Verdict.FAILS, f"it shows: {seen.stage}", remedy, code)


def _pack(pack: Pack, seen: _Seen) -> list[Finding]:
    """Each sign and control that was found, and by which of its entries; and those that were not."""
    found = [_entry(name, how, pack) for name, how in seen.found.items()]
    missing = [name for name in (*pack.signs, *pack.controls) if name not in seen.found]
    head = Finding("pack", Verdict.WORKS, f"{pack.platform} {pack.version}: {len(found)} of its entries were found")
    tail = Finding("not seen", Verdict.SKIPPED, ", ".join(missing))
    bad = [
        Finding("selector", Verdict.DOUBTFUL, selector, "the browser does not understand it")
        for selector in sorted(seen.unusable)
    ]
    return [head, *found, *bad, tail]


def _entry(name: str, how: str, pack: Pack) -> Finding:
    part: Mapping[str, Any] = pack.controls if name in CONTROLS else pack.signs
    entry = part[name]
    selectors: Sequence[str] = entry.selectors
    if how in selectors:
        place = selectors.index(how)
        later = f"; its {place} more trusted selectors did not" if place else ""
        verdict = Verdict.DOUBTFUL if place and name in CONTROLS else Verdict.WORKS
        return Finding(name, verdict, f"selector {place + 1} of {len(selectors)} matched: {how}{later}")
    words = entry.labels if name in CONTROLS else entry.texts
    language = next((key for key, texts in words.items() if how in map(plain, texts)), "?")
    return Finding(name, Verdict.WORKS, f"words matched ({language}): {how}")


def _evidence(paths: Sequence[str]) -> list[Finding]:
    return [Finding("evidence", Verdict.WORKS, path) for path in paths] or [
        Finding("evidence", Verdict.SKIPPED, "none was kept")
    ]


def with_evidence(invitation: Invitation, folder: str) -> Invitation:
    """The same, with evidence in a folder if it says no other place."""
    browser = invitation.browser
    if browser.evidence_dir is not None or browser.evidence_upload:
        return invitation
    return replace(invitation, browser=browser.model_copy(update={"evidence_dir": folder}))
