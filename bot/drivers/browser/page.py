"""A meeting page: Chromium with one page in it, captured and watched, gone without a trace when its context is left.

    async with open_page(settings, listener, probes=[PROBE]) as page:
        await page.goto(url)
        await page.locator("button:has-text('Join')").click(timeout=5_000)

Every call has a timeout. When the page dies (its renderer crashed or froze, Chromium or its driver died, or what a
frame that is heard says cannot be read) `page.gone` is done with a `PageGoneError`, and every later call raises it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

import structlog

from bot.drivers.browser.bridge import Bridge, open_bridge
from bot.drivers.browser.launch import chromium
from bot.drivers.browser.settings import BrowserSettings
from bot.drivers.browser.tracks import MIX_ID, CapturedKind, CaptureListener, TrackInfo
from common.contracts.status import SubCode
from common.errors import EarshotError

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Locator, Page

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
    "prepare",
]

CALL_TIMEOUT_S = 5.0
"""For every call of the page that is given no other."""
GOTO_TIMEOUT_S = 15.0
GONE_S = 0.5
"""A call that fails because the page dies may hear of it before we do."""
HEARTBEAT_S = 1.0
MISS_S = 0.9
MISSED_BEATS = 4
"""So a page that froze is noticed within HEARTBEAT_S + MISSED_BEATS * MISS_S = 4.6 s."""
HOLD_S = 0.1
BUSY_S = 15.0
"""A page whose worker beats is not frozen but busy, and so is one that has no worker yet: for so long at most."""
BRIDGE_TIMEOUT_S = 5.0
"""From the opening of a page to its worker's first word: then it cannot be heard, and that is said."""

T = TypeVar("T")
log = structlog.get_logger(__name__)


class PageGoneError(EarshotError):
    """The page is gone for good: BROWSER_CRASHED. Opening another one may help."""

    def __init__(self, detail: str) -> None:
        super().__init__(SubCode.BROWSER_CRASHED, detail)


class MeetingPage:
    """One page in a Chromium of its own. Made by `open_page`."""

    def __init__(self, context: BrowserContext, page: Page, bridge: Bridge) -> None:
        self._page, self._bridge = page, bridge
        self.gone: asyncio.Future[PageGoneError] = asyncio.get_running_loop().create_future()
        """Done when the page is gone, with the reason: the result, not an exception, so that nobody has to ask for it.
        Only what the listener raises, a bug, is one."""
        self.is_over = False
        """Whatever becomes of the page, its meeting is over: it is not to be opened again."""
        page.on("crash", lambda _: self._die("its renderer crashed"))
        page.on("close", lambda _: self._die("it was closed"))
        context.on("close", lambda _: self._die("Chromium ended"))
        context.on("page", self._refuse)
        page.on("dialog", self._dismiss)
        bridge.failure, bridge.cut_off = self._fail, self._die

    @property
    def page(self) -> Page:
        """Playwright's page, for what has no method here (mouse, keyboard); its calls time out after CALL_TIMEOUT_S."""
        return self._page

    async def goto(self, url: str, timeout: float = GOTO_TIMEOUT_S) -> None:
        """Opens the URL; returns when its document is there (`domcontentloaded`).

        Raises:
            EarshotError: ROOM_UNREACHABLE with Chromium's reason and the URL's host; PageGoneError.
        """
        from playwright.async_api import Error

        where = urlsplit(url).netloc.rpartition("@")[2]
        try:
            await self._call(self._page.goto(url, wait_until="domcontentloaded", timeout=timeout * 1000), timeout + 1)
        except (Error, TimeoutError) as error:
            why = str(error).partition("\n")[0].replace("Page.goto: ", "").partition(" at ")[0] or "no answer"
            check = "`browser.proxy`" if "PROXY" in why else "`meetingUrl` and the network"
            words = f"the meeting's page at {where} did not open: {why}. Check {check}"
            raise EarshotError(SubCode.ROOM_UNREACHABLE, words) from None
        if url.startswith("http"):
            asyncio.get_running_loop().call_later(BRIDGE_TIMEOUT_S, self._say_if_deaf)

    def locator(self, selector: str) -> Locator:
        """Playwright's locator in the page; its actions time out after CALL_TIMEOUT_S, if given nothing else."""
        return self._page.locator(selector)

    async def evaluate(self, script: str, argument: Any = None, timeout: float = CALL_TIMEOUT_S) -> Any:
        """Runs a JavaScript expression or function in the page's own world; returns its JSON value.

        Raises:
            TimeoutError: Nothing came back.
            PageGoneError: The page is gone.
            playwright.async_api.Error: The script raised, or the page went elsewhere meanwhile.
        """
        return await self._call(self._page.evaluate(script, argument), timeout)

    async def watch(self) -> None:
        """Notices that the page is frozen, or that Chromium's driver is gone; ends when the page is gone."""
        holding = asyncio.create_task(self._hold())
        try:
            await self._beat()
        finally:
            holding.cancel()
            await asyncio.gather(holding, return_exceptions=True)

    async def _hold(self) -> None:
        """Keeps a call waiting: it fails at once when the driver dies, which sets no event."""
        from playwright.async_api import Error

        while not self.gone.done():
            try:
                await self._page.evaluate("new Promise(() => {})")
            except Error as error:
                if "closed" in str(error):
                    self._die("the connection to Chromium broke")
            await asyncio.sleep(HOLD_S)  # it went elsewhere

    async def _beat(self) -> None:
        from playwright.async_api import Error

        loop, silent_since, misses = asyncio.get_running_loop(), 0.0, 0
        while not self.gone.done():
            await asyncio.sleep(HEARTBEAT_S if not misses else 0)
            asked = loop.time()
            try:
                async with asyncio.timeout(MISS_S):
                    await self._page.evaluate("0")
            except TimeoutError:
                misses, silent_since = misses + 1, silent_since if misses else asked
            except Error as error:
                misses = 0
                if "closed" in str(error):
                    self._die("the connection to Chromium broke")
            else:
                misses = 0
            if misses >= MISSED_BEATS:
                heard_at, now = self._bridge.heard_at, loop.time()
                busy = heard_at is None or now - heard_at < MISSED_BEATS * MISS_S
                if not busy or now - silent_since > BUSY_S:
                    self._die(f"its renderer has not answered for {now - silent_since:.0f} s")

    async def _call(self, call: Awaitable[T], timeout: float) -> T:
        """A call of the page with a deadline, that ends at once when the page is gone."""
        calling: asyncio.Future[Any] = asyncio.ensure_future(call)
        gone: asyncio.Future[Any] = self.gone
        try:
            await asyncio.wait({calling, gone}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if calling.done() and re.search("closed|crashed", str(calling.exception() or "")):
                await asyncio.wait({self.gone}, timeout=GONE_S)
            if self.gone.done():
                raise self.gone.result()
            if not calling.done():
                raise TimeoutError(f"the page did not answer within {timeout:.0f} s")
            return cast(T, await calling)
        finally:
            calling.cancel()
            await asyncio.gather(calling, return_exceptions=True)

    def _say_if_deaf(self) -> None:
        if not self.gone.done() and self._bridge.heard_at is None:
            log.error("browser_page_unheard", why="no worker of ours runs in it: nothing of the page can be heard")

    def _die(self, why: str) -> None:
        if not self.gone.done():
            self.gone.set_result(PageGoneError(f"the meeting's page is gone: {why}"))

    def _fail(self, error: BaseException) -> None:
        if not self.gone.done():
            self.gone.set_exception(error)

    async def _refuse(self, page: Page) -> None:
        """A page that the page opened."""
        if page is not self._page:
            log.info("browser_popup_refused")
            await page.close()

    async def _dismiss(self, dialog: Any) -> None:
        from playwright.async_api import Error

        with contextlib.suppress(Error):  # the page is gone, and it with it
            # whether the page is to be left: dismissed, it would be kept, and nothing else could be opened
            await (dialog.accept() if dialog.type == "beforeunload" else dialog.dismiss())


def prepare() -> None:
    """Imports what opening a page needs, which takes half a second; that Playwright is missing, `open_page` says."""
    with contextlib.suppress(ImportError):
        import playwright.async_api  # noqa: F401


def init_script(bridge: Bridge, probes: Sequence[str], mix: bool) -> str:
    """What runs in every frame before its own scripts."""
    folder = resources.files(__package__)
    source = {name: (folder / f"{name}.js").read_text(encoding="utf-8") for name in ("capture", "worker", "worklet")}
    settings = {
        "url": f"ws://{bridge.authority}/",
        "token": bridge.token,
        "mix": mix,
        "dropVideo": True,
        "worker": source["worker"],
        "worklet": source["worklet"],
    }
    return f"({source['capture']})({json.dumps(settings)}, [{', '.join(f'({probe})' for probe in probes)}]);"


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
            `earshot.signal(name, payload)`, which reaches `listener.signal` (≤ 256 KiB; ≤ 50/s, 100 at once; more are
            dropped).
        mix: Whether what the page plays through WebAudio is captured, if no track of a connection has sound.
        arguments: More switches of Chromium, for tests.

    Raises:
        EarshotError: BROWSER_UNAVAILABLE: no Playwright, no Chromium, or it does not start (its sandbox, a library).
    """
    async with open_bridge(listener, mix) as bridge, chromium(settings, bridge.authority, arguments) as context:
        context.set_default_timeout(CALL_TIMEOUT_S * 1000)
        await context.add_init_script(init_script(bridge, probes, mix))
        page = context.pages[0] if context.pages else await context.new_page()
        meeting = MeetingPage(context, page, bridge)
        watching = asyncio.create_task(meeting.watch())
        try:
            yield meeting
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            meeting.gone.cancel()
