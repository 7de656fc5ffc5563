"""Signing in by hand: the session of a window, in a file that a bot then has."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.cli import app
from bot.drivers.browser.page import open_page
from bot.platforms.pages.login import sign_in
from common.contracts.status import SubCode
from common.errors import EarshotError
from tests.support.servers.pages import Heard, chromium_settings, serve_pages

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(60)]

SIGNS_IN = (
    "<script>document.cookie = 'session=ana; max-age=600'; localStorage.who = 'ana'; document.title = 'in'</script>"
)
SAYS_WHO = "<script>document.title = document.cookie + ' ' + localStorage.who</script>"


async def test_a_session_is_stored_and_used(tmp_path: Path) -> None:
    """Cookies and local storage come out of the window and into the bot's; nobody else can read the file."""
    path, done = tmp_path / "session.json", asyncio.Event()
    async with serve_pages({"/": SIGNS_IN, "/who": SAYS_WHO}) as url:
        signing = asyncio.create_task(sign_in(url, path, chromium_settings(), done))
        asyncio.get_running_loop().call_later(3, done.set)
        assert await signing == 1
        assert path.stat().st_mode & 0o777 == 0o600
        stored = json.loads(path.read_text())
        assert [cookie["value"] for cookie in stored["cookies"]] == ["ana"]
        settings = chromium_settings(storage_state=path.read_text())
        async with open_page(settings, Heard()) as page:
            await page.goto(f"{url.rstrip('/')}/who")
            assert await page.page.title() == "session=ana ana"


async def test_what_cannot_be_written_or_opened_is_said(tmp_path: Path) -> None:
    """The file and the page, each by name."""
    done = asyncio.Event()
    done.set()
    async with serve_pages({"/": SIGNS_IN}) as url:
        with pytest.raises(EarshotError, match="cannot be written: Is a directory") as failure:
            await sign_in(url, tmp_path, chromium_settings(), done)
        assert failure.value.code is SubCode.CONFIG_INVALID
    with pytest.raises(EarshotError) as unreachable:
        await sign_in("http://127.0.0.1:1/", tmp_path / "x", chromium_settings(), done)
    assert unreachable.value.code is SubCode.ROOM_UNREACHABLE


def test_nobody_signs_in_where_there_is_no_account(tmp_path: Path) -> None:
    """Another platform, or one that does not exist: those that can are named."""
    for platform in ("livekit", "webex", "jitsi"):
        result = CliRunner().invoke(app, ["login", platform, "--out", str(tmp_path / "x")])
        assert result.exit_code == 2
        assert "one of google_meet, teams, zoom" in result.stderr


async def test_who_does_not_sign_in_loses_nothing(tmp_path: Path) -> None:
    """A window that is closed at once: it is said, and the session of the last time stays."""
    path, done = tmp_path / "session.json", asyncio.Event()
    path.write_text("of the last time")
    done.set()
    async with serve_pages({"/": "<p>Sign in</p>"}) as url:
        with pytest.raises(EarshotError, match="nobody has signed in") as failure:
            await sign_in(url, path, chromium_settings(), done)
    assert failure.value.code is SubCode.AUTH_REQUIRED
    assert path.read_text() == "of the last time"


async def test_a_window_that_nobody_would_see_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The headless shell has none, and without a screen there is none: said, in place of waiting for ever."""
    for variable in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    for program, words in (("/x/chrome-headless-shell", "has no window"), ("/x/chromium", "needs a screen")):
        settings = chromium_settings(executable=program, headless="window")
        with pytest.raises(EarshotError, match=words) as failure:
            await sign_in("http://127.0.0.1:1/", tmp_path / "x", settings, asyncio.Event())
        assert failure.value.code is SubCode.BROWSER_UNAVAILABLE
