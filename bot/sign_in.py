"""`earshot login`: which page, which file, and a person who says on the terminal that they have signed in."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from bot.drivers.browser.settings import BrowserSettings
from bot.platforms import PLATFORMS, load
from bot.platforms.pages import PagePlatform
from common.problems import ConfigError, Problem, shown


def run(platform: str, out: str, url: str | None, allow_no_sandbox: bool) -> int:
    """Opens the window; returns 0 when the session is stored.

    Raises:
        ConfigError: Nobody signs in at such a platform.
        EarshotError: See `bot.platforms.pages.login`.
    """
    where = url or _sign_in_url(platform)
    sys.stderr.write(f"Sign in at {where} in the window that opens; then close it, or press Ctrl-C here.\n")
    cookies = asyncio.run(
        _sign_in(where, Path(out), BrowserSettings(headless="window", allow_no_sandbox=allow_no_sandbox))
    )
    sys.stderr.write(f"{out}: {cookies} cookies. Whoever has this file is signed in: keep it as a secret.\n")
    return 0


def _sign_in_url(platform: str) -> str:
    pages = {name: found for name in PLATFORMS if isinstance(found := load(name), PagePlatform) and found.sign_in_url}
    if platform not in pages:
        raise ConfigError([Problem("PLATFORM", shown(platform), f"one of {', '.join(sorted(pages))}")])
    return str(pages[platform].sign_in_url)


async def _sign_in(url: str, out: Path, settings: BrowserSettings) -> int:
    from bot.platforms.pages.login import sign_in

    done, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, done.set)
    return await sign_in(url, out, settings, done)
