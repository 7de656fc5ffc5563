"""A stay in a meeting that outlives its page: a page that died is opened again, a few times, then it is the end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import structlog

from bot.drivers.browser.page import GONE_S, BrowserSettings, CaptureListener, MeetingPage, PageGoneError, open_page
from common.contracts.status import SubCode
from common.errors import EarshotError

MAX_RELAUNCHES = 3
RELAUNCH_WINDOW_S = 600.0

log = structlog.get_logger(__name__)


class Relaunches:
    """How often a page may die: MAX_RELAUNCHES times within RELAUNCH_WINDOW_S. Time is monotonic seconds."""

    def __init__(self) -> None:
        self._deaths: deque[float] = deque()

    def allow(self, now: float) -> bool:
        """Takes a death; whether there is to be another page."""
        while self._deaths and now - self._deaths[0] >= RELAUNCH_WINDOW_S:
            self._deaths.popleft()
        self._deaths.append(now)
        return len(self._deaths) <= MAX_RELAUNCHES


async def stay(
    settings: BrowserSettings,
    listener: CaptureListener,
    visit: Callable[[MeetingPage, int], Awaitable[SubCode]],
    lost: Callable[[], None],
    *,
    probes: Sequence[str] = (),
    mix: bool = True,
    arguments: Sequence[str] = (),
) -> SubCode:
    """Runs `visit(page, launch)` to its end; when the page dies it is cancelled and run again on a new page.

    Args:
        visit: Joins and stays; `launch` is 0 for the first page, then 1, 2, … Its return is ours, what it raises too.
        lost: Called when a page has died and is opened again: `TransportLost`; `visit` says when we are back.
        settings, listener, probes, mix, arguments: See `open_page`. Tracks of a dead page are closed before `lost`.

    Raises:
        EarshotError: BROWSER_CRASHED when more than MAX_RELAUNCHES pages died within RELAUNCH_WINDOW_S.
    """
    relaunches = Relaunches()
    launch = 0
    while True:
        try:
            async with open_page(settings, listener, probes=probes, mix=mix, arguments=arguments) as page:
                return await _until_gone(page, visit(page, launch))
        except PageGoneError as death:
            gone = death
        if not relaunches.allow(asyncio.get_running_loop().time()):
            words = f"{gone}; that was {MAX_RELAUNCHES + 1} times within {RELAUNCH_WINDOW_S / 60:.0f} minutes"
            raise EarshotError(SubCode.BROWSER_CRASHED, words)
        launch += 1
        log.warning("browser_relaunched", why=str(gone), launch=launch)
        lost()


async def _until_gone(page: MeetingPage, visit: Awaitable[SubCode]) -> SubCode:
    """The visit's result, unless the page is gone before that is known: then it is cancelled. Raises PageGoneError."""
    visiting: asyncio.Future[Any] = asyncio.ensure_future(visit)
    gone: asyncio.Future[Any] = page.gone
    try:
        await asyncio.wait({visiting, gone}, return_when=asyncio.FIRST_COMPLETED)
        if page.is_over:
            return cast(SubCode, await visiting)
        if visiting.done() and visiting.exception() is not None:
            await asyncio.wait({page.gone}, timeout=GONE_S)
        if page.gone.done() and (not visiting.done() or visiting.exception() is not None):
            raise page.gone.result()
        return cast(SubCode, await visiting)
    finally:
        visiting.cancel()
        await asyncio.gather(visiting, return_exceptions=True)
