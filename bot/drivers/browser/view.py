"""A live view of a page, for whoever helps a bot in it: pictures twice a second, clicks and keys the other way.

Served on one port (by default of loopback alone) behind an address that nobody can guess: a path of 192 random bits.
It shows the page while it was given one (`show`), to one viewer; another one takes the place of the one before.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib import resources
from typing import TYPE_CHECKING, Any

import structlog
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from common.contracts.status import SubCode
from common.errors import EarshotError
from common.problems import reason

if TYPE_CHECKING:
    from bot.drivers.browser.page import MeetingPage
    from bot.drivers.browser.settings import BrowserSettings

PICTURE_EVERY_S = 0.5
PICTURE_TIMEOUT_S = 3.0
JPEG_QUALITY_PERCENT = 60
"""Of a JPEG, in percent."""
SEND_TIMEOUT_S = 5.0
"""A viewer who takes no picture for so long is one no more."""
ACTION_TIMEOUT_S = 3.0
MAX_MESSAGE_BYTES = 2_048
MAX_TEXT_CHARACTERS = 200
ACTIONS_PER_S, MAX_ACTIONS = 20.0, 60
"""Clicks and keys: so many a second, so many at once; what is beyond is dropped."""
MAX_SCROLL_PX = 2_000
KEYS = frozenset(
    {"Enter", "Tab", "Backspace", "Delete", "Escape", "Home", "End", "PageUp", "PageDown"}
    | {"ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"}
)
NOTHING = "The bot needs no help at this moment, or its page is being opened."
REPLACED = "Somebody else looks at the page now."

log = structlog.get_logger(__name__)


class LiveView:
    """One page as one person sees it. Made by `live_view`."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(24)
        self.url = ""
        """Where it is; a secret."""
        self._page: MeetingPage | None = None
        self._viewer: ServerConnection | None = None
        self._left, self._at = float(MAX_ACTIONS), 0.0

    def show(self, page: MeetingPage | None) -> None:
        """From now on this page is shown, and may be used; None: none is."""
        self._page = page

    def announce(self) -> None:
        """Somebody's help is needed: says where, once for each time. The only line that holds the address."""
        log.warning("browser.view", url=self.url)

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answers HTTP: the page for viewers; a websocket of that page goes through; whoever guesses finds nothing."""
        if not hmac.compare_digest(request.path.encode(), f"/{self.token}/".encode()):
            return connection.respond(HTTPStatus.NOT_FOUND, "")
        if "upgrade" in request.headers.get("Connection", "").lower():
            origin = request.headers.get("Origin", "").partition("://")[2]
            return None if origin == request.headers.get("Host") else connection.respond(HTTPStatus.FORBIDDEN, "")
        nonce = secrets.token_urlsafe(16)
        body = (resources.files(__package__) / "view.html").read_text(encoding="utf-8").replace("NONCE", nonce).encode()
        headers = Headers({"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(body))})
        headers["Content-Security-Policy"] = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; img-src blob:; "
            f"connect-src 'self'; frame-ancestors 'none'"
        )
        headers["Cache-Control"], headers["Connection"], headers["Referrer-Policy"] = "no-store", "close", "no-referrer"
        return Response(HTTPStatus.OK, "OK", headers, body)

    async def serve(self, viewer: ServerConnection) -> None:
        """One viewer, until another one comes or the connection ends."""
        before, self._viewer = self._viewer, viewer
        if before is not None:
            await before.close(4001, REPLACED)
        log.info("browser.viewer", what="came")
        sending = asyncio.create_task(self._send(viewer))
        try:
            async for message in viewer:
                if self._viewer is viewer and self._may_act():
                    await self._act(message)
        except ConnectionClosed:
            pass
        finally:
            if self._viewer is viewer:
                self._viewer = None
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            log.info("browser.viewer", what="left")

    async def _send(self, viewer: ServerConnection) -> None:
        shown: bool | None = None
        while True:
            picture = await self._picture()
            if picture is not None or shown is not False:
                try:
                    async with asyncio.timeout(SEND_TIMEOUT_S):
                        await viewer.send(NOTHING if picture is None else picture)
                except (TimeoutError, ConnectionClosed):
                    await viewer.close()
                    return
            shown = picture is not None
            await asyncio.sleep(PICTURE_EVERY_S)

    async def _picture(self) -> bytes | None:
        """A JPEG of the page; by the protocol itself: Playwright's own would wait for fonts, and change the page."""
        from playwright.async_api import Error

        page = self._page
        if page is None or page.gone.done():
            return None
        try:
            async with asyncio.timeout(PICTURE_TIMEOUT_S):
                session = await page.page.context.new_cdp_session(page.page)
                try:
                    taken = await session.send(
                        "Page.captureScreenshot", {"format": "jpeg", "quality": JPEG_QUALITY_PERCENT}
                    )
                finally:
                    await session.detach()
        except (Error, TimeoutError):
            return None
        return b64decode(taken["data"]) if self._page is page else None

    def _may_act(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._left = min(self._left + (now - self._at) * ACTIONS_PER_S, float(MAX_ACTIONS))
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    async def _act(self, message: str | bytes) -> None:
        """Does what a viewer asks for in the page that is shown; whatever is wrong with it is ignored, and not told."""
        from playwright.async_api import Error

        page = self._page
        if page is None or page.gone.done():
            return
        try:
            asked = json.loads(message)
        except (ValueError, RecursionError):
            return
        if not isinstance(asked, dict):
            return
        try:
            async with asyncio.timeout(ACTION_TIMEOUT_S):
                await _use(page, asked)
        except (Error, TimeoutError):
            pass  # the next picture shows what became of it


async def _use(page: MeetingPage, asked: dict[str, Any]) -> None:
    mouse, keyboard, size = page.page.mouse, page.page.keyboard, page.page.viewport_size
    match asked:
        case {"click": [int() | float() as x, int() | float() as y]} if size and 0 <= x <= 1 and 0 <= y <= 1:
            await mouse.move(x * size["width"], y * size["height"], steps=4)
            await mouse.click(x * size["width"], y * size["height"])
        case {"text": str(text)} if 0 < len(text) <= MAX_TEXT_CHARACTERS and text.isprintable():
            await (keyboard.type(text) if len(text) == 1 else keyboard.insert_text(text))
        case {"key": str(key)} if key in KEYS:
            await keyboard.press(key)
        case {"scroll": int() | float() as far} if abs(far) <= MAX_SCROLL_PX:
            await mouse.wheel(0, far)


@asynccontextmanager
async def live_view(settings: BrowserSettings) -> AsyncIterator[LiveView | None]:
    """A view as the settings want it; None: they want none. At the end nobody looks any more and the port is free.

    Raises:
        EarshotError: BROWSER_UNAVAILABLE: its port cannot be had.
    """
    if not settings.view:
        yield None
        return
    view = LiveView()
    server = serve(
        view.serve,
        settings.view_host,
        settings.view_port,
        process_request=view.admit,
        compression=None,
        max_size=MAX_MESSAGE_BYTES,
        close_timeout=0.2,
        server_header=None,
        start_serving=False,  # see `bridge`
    )
    try:
        listening = await server.__aenter__()
    except OSError as error:
        where = f"{settings.view_host}:{settings.view_port}"
        words = f"`browser.view` cannot be served on {where} (`browser.viewHost`, `viewPort`): {reason(error)}"
        raise EarshotError(SubCode.BROWSER_UNAVAILABLE, words) from None
    try:
        await listening.start_serving()
        port = listening.sockets[0].getsockname()[1]
        host = "127.0.0.1" if settings.view_host in ("0.0.0.0", "::") else settings.view_host
        view.url = f"http://{host}:{port}/{view.token}/"
        yield view
    finally:
        await server.__aexit__(None, None, None)
