"""Login by hand: a window of the bot's own Chromium, and the session that is in it afterwards, in a file.

The file is what `browser.storageStateFile` takes: cookies and local storage, as Playwright stores them. It is a secret.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from playwright.async_api import Error as PlaywrightError

from bot.drivers.browser.launch import chromium
from bot.drivers.browser.settings import BrowserSettings
from bot.platforms.pages.private import write_private
from common.contracts.status import SubCode
from common.errors import EarshotError
from common.problems import reason

LOOK_S = 1.0
"""Between two looks at the session: a window that is closed has none any more."""
NO_BRIDGE = "127.0.0.1:9"
"""Nothing of the page is heard here."""


async def sign_in(url: str, path: Path, settings: BrowserSettings, done: asyncio.Event) -> int:
    """Opens the URL in a window and keeps its session in the file, until `done` or the window is closed.

    Args:
        url: Where to sign in.
        path: The file; made readable by us alone.
        settings: Which Chromium, and how.
        done: Whoever signs in has finished.

    Returns:
        How many cookies were kept.

    Raises:
        EarshotError: BROWSER_UNAVAILABLE, ROOM_UNREACHABLE, CONFIG_INVALID (the file cannot be written), AUTH_REQUIRED
            (nobody has signed in: a session that is in the file stays).
    """
    state: dict[str, Any] = {}
    async with chromium(settings, NO_BRIDGE) as context:
        page = context.pages[0] if context.pages else await context.new_page()
        try:
            await page.goto(url, wait_until="domcontentloaded")
        except PlaywrightError as error:
            words = f"the page to sign in at did not open: {str(error).partition(chr(10))[0]}"
            raise EarshotError(SubCode.ROOM_UNREACHABLE, words) from None
        with suppress(PlaywrightError):  # the window was closed
            while context.pages:
                state = dict(await context.storage_state())
                if done.is_set():
                    break
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await done.wait()
    if not state.get("cookies") and not state.get("origins"):
        raise EarshotError(SubCode.AUTH_REQUIRED, f"nobody has signed in: there is no session, and {path} is as it was")
    await asyncio.to_thread(_write, path, json.dumps(state))
    return len(state.get("cookies", ()))


def _write(path: Path, text: str) -> None:
    try:
        write_private(path, text.encode())
    except OSError as error:
        raise EarshotError(SubCode.CONFIG_INVALID, f"--out {path} cannot be written: {reason(error)}") from None
