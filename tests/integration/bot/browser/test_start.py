"""How Chromium is started: signed in, in a language, by way of a proxy, with nothing of our environment."""

from __future__ import annotations

import asyncio
import gc
import json
import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.drivers.browser import launch
from bot.drivers.browser.bridge import open_bridge
from bot.drivers.browser.launch import processes
from bot.drivers.browser.page import open_page
from common.contracts.status import SubCode
from common.errors import EarshotError
from tests.support.processes import descendants, is_gone
from tests.support.servers.pages import Heard, chromium_settings, page, serve_pages
from tests.support.waiting import eventually

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(60)]


async def test_signed_in_and_in_a_language() -> None:
    """The stored session's cookies and local storage are there, and the page sees the language that was set."""
    async with serve_pages({"/": page("")}) as url:
        cookie = {"name": "sid", "value": "7", "domain": "127.0.0.1", "path": "/", "expires": -1}
        more = {"httpOnly": False, "secure": False, "sameSite": "Lax"}
        kept = {"origin": url, "localStorage": [{"name": "who", "value": "bot"}]}
        session = SecretStr(json.dumps({"cookies": [cookie | more], "origins": [kept]}))
        async with open_page(chromium_settings(storage_state=session, locale="de-DE"), Heard()) as shown:
            await shown.goto(url)
            seen = await shown.evaluate(
                "[document.cookie, localStorage.who, navigator.language, navigator.languages[0]]"
            )
    assert seen == ["sid=7", "bot", "de-DE", "de-DE"]


async def test_what_is_no_session_is_said_without_it() -> None:
    """JSON, and not Playwright's: an error that quotes nothing of it."""
    for text in ('{"cookies": [{"canary": 1}]}', '{"cookies": 7}'):
        with pytest.raises(EarshotError, match="storageState") as failure:
            async with open_page(chromium_settings(storage_state=SecretStr(text)), Heard()):
                pass
        assert failure.value.code is SubCode.BROWSER_UNAVAILABLE
        assert "canary" not in str(failure.value)


async def test_by_way_of_a_proxy() -> None:
    """Requests go to the proxy, with its password after it has asked; what the page hears does not."""
    asked = list[str]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head)
        if "Proxy-Authorization" in head:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\nConnection: close\r\n\r\n<title>far</title>")
        else:
            refusal = b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\nConnection: close"
            writer.write(refusal + b"\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        way = SecretStr(f"http://me:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with open_page(chromium_settings(proxy=way), Heard()) as shown:
            await shown.goto("http://meet.example.com/room")
            await eventually(lambda: shown._bridge.heard_at is not None)
            assert "far" in await shown.evaluate("document.title")
    assert asked[-1].startswith("GET http://meet.example.com/room")
    assert not any("127.0.0.1" in head.splitlines()[0] or "Headless" in head for head in asked)


async def test_a_program_that_does_not_say_its_version_is_started_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A script whose child hangs, with the script's output: it is not waited for, and it ends with the page."""
    monkeypatch.setattr(launch, "VERSION_TIMEOUT_S", 0.5)
    (folders := tmp_path / "folders").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folders))
    settings, own = chromium_settings(), descendants(os.getpid())
    script = tmp_path / "chromium"
    script.write_text(f'#!/bin/sh\ncase "$1" in --version) sleep 300;; esac\nexec {settings.executable} "$@"\n')
    script.chmod(0o755)
    async with asyncio.timeout(40), open_page(chromium_settings(executable=str(script)), Heard()) as shown:
        assert "Headless" in await shown.evaluate("navigator.userAgent")
        folder = _only(folders)
        assert folder is not None
        hanging = [each for each in processes(folder) if _knows(each, b"sleep\x00300")]
        assert len(hanging) == 1
    await eventually(lambda: is_gone(hanging[0]) and descendants(os.getpid()) <= own, 5)


async def test_where_no_file_can_be_written_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only container without its /tmp is no bug of ours."""
    monkeypatch.setattr("tempfile.tempdir", "/proc/none")
    with pytest.raises(EarshotError, match="--tmpfs /tmp") as failure:
        async with open_page(chromium_settings(), Heard()):
            pass
    assert failure.value.code is SubCode.BROWSER_UNAVAILABLE


async def test_a_proxy_that_is_not_there_is_named() -> None:
    """The meeting's URL is right, and nothing to look at."""
    async with open_page(chromium_settings(proxy=SecretStr("http://127.0.0.1:1")), Heard()) as shown:
        with pytest.raises(EarshotError, match=r"Check `browser\.proxy`"):
            await shown.goto("http://meet.example.com/room")


@pytest.mark.parametrize("turns", range(8))
async def test_a_bridge_that_is_given_up_in_the_making_leaves_no_socket(turns: int) -> None:
    """Cancelled at any turn of the loop; a socket that stays open fails the test as it is collected."""

    async def opening() -> None:
        async with open_bridge(Heard(), True):
            await asyncio.sleep(60)

    task = asyncio.create_task(opening())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    del task
    gc.collect()


async def test_it_gets_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the bot was configured with is in no process of Chromium, on no command line of it, and no file stays."""
    monkeypatch.setenv("BOT_CONFIG", '{"token": "canary"}')
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with open_page(chromium_settings(), Heard()) as shown:
        await shown.evaluate("1")
        folder = _only(tmp_path)
        assert folder is not None
        found = [each for each in processes(folder) if _knows(each, b"canary") and not _knows(each, b"run-driver")]
    assert found == []
    assert _only(tmp_path) is None


def _only(folder: Path) -> Path | None:
    return next(folder.iterdir(), None)


def _knows(process: int, what: bytes) -> bool:
    try:
        return any(what in Path(f"/proc/{process}/{part}").read_bytes() for part in ("environ", "cmdline"))
    except OSError:  # it has ended
        return False
