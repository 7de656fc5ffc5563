"""The live view of a page: real Chromium shown to a real viewer, who clicks and types; and to nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from bot.drivers.browser import view as module
from bot.drivers.browser.page import MeetingPage, open_page
from bot.drivers.browser.view import LiveView, live_view
from common.errors import EarshotError
from tests.support.servers.pages import Heard, chromium_settings, serve_pages
from tests.support.waiting import eventually

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(90), pytest.mark.usefixtures("driver_of_file")]

PAGE = """<!doctype html><title>page</title><body style="margin:0">
<button style="position:absolute;left:600px;top:300px;width:80px;height:40px"
  onclick="clicked = event.isTrusted">ok</button>
<input style="position:absolute;left:0;top:600px;width:1280px;height:60px"><script>clicked = false</script>"""
INPUT, BUTTON = (0.5, 630 / 720), (640 / 1280, 320 / 720)


@asynccontextmanager
async def shown(**settings: Any) -> AsyncIterator[tuple[LiveView, MeetingPage]]:
    """A page, and its view."""
    used = chromium_settings(view=True, **settings)
    async with serve_pages({"/": PAGE}) as origin, live_view(used) as view, open_page(used, Heard()) as page:
        assert view is not None
        await page.goto(origin)
        view.show(page)
        yield view, page


def look(view: LiveView, **changes: Any) -> connect:
    """A viewer's connection."""
    authority = view.url.split("/")[2]
    return connect(view.url.replace("http", "ws"), origin=changes.pop("origin", f"http://{authority}"), **changes)


async def picture(viewer: ClientConnection) -> bytes:
    """The next picture."""
    while isinstance(came := await asyncio.wait_for(viewer.recv(), 15), str):
        pass
    return came


async def ended(viewer: ClientConnection) -> tuple[int | None, str | None]:
    """How its connection was closed, once it is."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await asyncio.wait_for(viewer.recv(), 15)
    return viewer.close_code, viewer.close_reason


async def ask(viewer: ClientConnection, **what: Any) -> None:
    """One action."""
    await viewer.send(json.dumps(what))


async def test_a_person_sees_the_page_and_acts_in_it() -> None:
    """In a browser of their own: the picture comes, a click and what is typed arrive as a person's would."""
    async with shown() as (view, page), open_page(chromium_settings(), Heard()) as window:
        await window.goto(view.url)
        person = window.page
        await person.wait_for_function("document.getElementById('page').naturalWidth > 1000", polling=100)
        box = await person.locator("#page").bounding_box()
        assert box is not None
        for x, y in (BUTTON, INPUT):
            await person.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
        await person.keyboard.type("s3cret!")
        await person.keyboard.press("Backspace")
        typed = "document.querySelector('input').value === 's3cret'"
        await page.page.wait_for_function(typed, polling=50, timeout=15_000)
        assert await page.evaluate("clicked") is True
        view.show(None)
        await person.wait_for_function("document.getElementById('said').textContent.includes('no help')", polling=100)
        await person.mouse.click(box["x"] + 5, box["y"] + 5)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", int(view.url.split(":")[2].split("/")[0]))


async def test_one_viewer_who_knows_the_address() -> None:
    """A wrong one is not found, a page of somebody else is refused; a second viewer takes the place of the first."""
    async with shown() as (view, _):
        root = view.url.replace("http", "ws").removesuffix(f"{view.token}/")
        for path in ("", "x/", f"{view.token}", f"{view.token[:-1]}?/"):
            with pytest.raises(InvalidStatus, match="404"):
                async with connect(root + path, origin=None):
                    pass
        for origin in ("http://evil.example", None):
            with pytest.raises(InvalidStatus, match="403"):
                async with look(view, origin=origin):
                    pass
        async with look(view) as first:
            assert (await picture(first)).startswith(b"\xff\xd8\xff")
            async with look(view) as second:
                assert (await picture(second)).startswith(b"\xff\xd8\xff")
                assert await ended(first) == (4001, module.REPLACED)


async def test_what_a_viewer_sends_is_bounded() -> None:
    """What is no action does nothing, a flood is cut, a message that is too long ends it; the page lives."""
    async with shown() as (view, page):
        async with look(view) as viewer:
            await ask(viewer, click=INPUT)
            for wrong in (
                {"click": [2, 0]},
                {"key": "F5"},
                {"text": "x" * 300},
                {"text": "\n"},
                {"goto": "file:///"},
                [1],
            ):
                await viewer.send(json.dumps(wrong))
            await viewer.send(b"\xff{")
            began = time.monotonic()
            for _ in range(300):
                await ask(viewer, text="x")
            await eventually(lambda: view._left < 1, 15)
            await picture(viewer)
            took = time.monotonic() - began
        typed = len(await page.evaluate("document.querySelector('input').value"))
        assert 0 < typed <= module.MAX_ACTIONS + module.ACTIONS_PER_S * (took + 1)
        async with look(view) as viewer:
            await ask(viewer, text="x" * module.MAX_MESSAGE_BYTES)
            assert (await ended(viewer))[0] == 1009
        assert not page.gone.done()


async def test_there_is_none_where_none_is_wanted_or_none_can_be() -> None:
    """Off by default; a port that is taken is an error that names its setting."""
    async with live_view(chromium_settings()) as none:
        assert none is None
    taken = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with taken:
        port = taken.sockets[0].getsockname()[1]
        with pytest.raises(EarshotError, match="viewPort"):
            async with live_view(chromium_settings(view=True, view_port=port)):
                pass
