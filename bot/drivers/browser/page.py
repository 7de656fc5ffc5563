"""A meeting page: Chromium with one page in it, captured and watched, gone without a trace when its context is left.

    async with open_page(settings, listener, probes=[PROBE]) as page:
        await page.goto(url)
        await page.locator("button:has-text('Join')").click(timeout=5_000)

Every call has a timeout. When the page dies (its renderer crashed or froze, Chromium or its driver died) `page.gone`
is done with a `PageGoneError`, and every later call raises it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from bot.drivers.browser.settings import BrowserSettings
from bot.drivers.browser.tracks import MIX_ID, CapturedKind, CaptureListener, TrackInfo
from common.contracts.status import SubCode
from common.errors import EarshotError

if TYPE_CHECKING:
    from playwright.async_api import FrameLocator, Locator, Page

__all__ = [
    "CALL_TIMEOUT_S",
    "MIX_ID",
    "BrowserSettings",
    "CaptureListener",
    "CapturedKind",
    "MeetingPage",
    "PageGoneError",
    "TrackInfo",
    "open_page",
]

CALL_TIMEOUT_S = 5.0
"""For every call of the page that is given no other."""
GOTO_TIMEOUT_S = 15.0


class PageGoneError(EarshotError):
    """The page is gone for good: BROWSER_CRASHED. Opening another one may help."""

    def __init__(self, detail: str) -> None:
        super().__init__(SubCode.BROWSER_CRASHED, detail)


class MeetingPage:
    """One page in a Chromium of its own. Made by `open_page`."""

    gone: asyncio.Future[PageGoneError]
    """Done when the page is gone, with the reason: the result, not the exception, so that nobody has to ask for it."""

    @property
    def page(self) -> Page:
        """Playwright's page, for what has no method here (mouse, keyboard); its calls time out after CALL_TIMEOUT_S."""
        raise NotImplementedError

    async def goto(self, url: str, timeout: float = GOTO_TIMEOUT_S) -> None:
        """Opens the URL; returns when its document is there (`domcontentloaded`).

        Raises:
            EarshotError: ROOM_UNREACHABLE with Chromium's reason and the URL's host; PageGoneError.
        """

    def locator(self, selector: str) -> Locator:
        """Playwright's locator in the page; its actions time out after CALL_TIMEOUT_S, if given nothing else."""
        raise NotImplementedError

    def frame_locator(self, selector: str) -> FrameLocator:
        """The same inside an iframe."""
        raise NotImplementedError

    async def evaluate(self, script: str, argument: Any = None, timeout: float = CALL_TIMEOUT_S) -> Any:
        """Runs a JavaScript expression or function in the page's own world; returns its JSON value.

        Raises:
            TimeoutError: Nothing came back.
            PageGoneError: The page is gone.
            playwright.async_api.Error: The script raised, or the page went elsewhere meanwhile.
        """

    async def screenshot(self, timeout: float = CALL_TIMEOUT_S) -> bytes:
        """A JPEG of what is seen. Raises TimeoutError or PageGoneError."""
        raise NotImplementedError

    async def content(self, timeout: float = CALL_TIMEOUT_S) -> str:
        """The page's HTML. Raises TimeoutError or PageGoneError."""
        raise NotImplementedError


@asynccontextmanager
async def open_page(
    settings: BrowserSettings,
    listener: CaptureListener,
    *,
    probes: Sequence[str] = (),
    mix: bool = True,
    arguments: Sequence[str] = (),
) -> AsyncIterator[MeetingPage]:
    """Starts Chromium with one empty page; at the end no process and no file of it is left.

    Args:
        settings: Which Chromium, and how.
        listener: Hears the page.
        probes: JavaScript functions, run in every frame before its own scripts: `(earshot) => { … }` with
            `earshot.signal(name, payload)`, which reaches `listener.signal` (≤ 32 KiB, ≤ 100/s).
        mix: Whether what the page plays through WebAudio is captured, if no track of a connection has sound.
        arguments: More switches of Chromium, for tests.

    Raises:
        EarshotError: BROWSER_UNAVAILABLE: no Playwright, no Chromium, or it does not start (its sandbox, a library).
    """
    raise NotImplementedError
    yield MeetingPage()
