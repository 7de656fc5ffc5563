"""`earshot login`: which page, which file, and a person who says on the terminal that they have signed in."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from bot.drivers.browser.settings import BrowserSettings
from bot.platforms import PLATFORMS, load
from bot.platforms.pages import PagePlatform
from bot.settings import is_url
from common.installed import needed
from common.problems import ConfigError, Problem, reason, shown


def run(platform: str, out: str, url: str | None, allow_no_sandbox: bool) -> int:
    """Opens the window; returns 0 when the session is stored.

    Raises:
        ConfigError: Nobody signs in at such a platform or URL, or the file cannot be written.
        EarshotError: NOT_INSTALLED; see `bot.platforms.pages.login`.
    """
    where = url or _sign_in_url(platform)
    if not is_url(where, "http", "https"):
        raise ConfigError([Problem("--url", shown(where), "https://host/path of the page to sign in at")])
    if why := _unwritable(Path(out)):  # before somebody signs in for nothing
        raise ConfigError([Problem("--out", shown(out), f"a file that can be written ({why})")])
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


def _unwritable(file: Path) -> str | None:
    """Why it is no file that can be written; None: it is. Nothing is made."""
    try:
        os.close(os.open(file, os.O_WRONLY))
    except FileNotFoundError as error:
        if not file.parent.is_dir():
            return reason(error)
        return None if os.access(file.parent, os.W_OK | os.X_OK) else "its folder is not ours to write to"
    except OSError as error:
        return reason(error)
    return None


async def _sign_in(url: str, out: Path, settings: BrowserSettings) -> int:
    with needed("earshot login", "browser"):
        from bot.platforms.pages.login import sign_in

    sys.stderr.write(f"Sign in at {url} in the window that opens; then close it, or press Ctrl-C here.\n")
    done, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, done.set)
    return await sign_in(url, out, settings, done)
