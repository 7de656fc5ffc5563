"""How a Chromium is put away: asked to close while it lives, killed first when its page is dead. It is scripted."""

from __future__ import annotations

import asyncio
import fcntl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from bot.drivers.browser import launch
from bot.drivers.browser.driver import CLOSE_TIMEOUT_S, within
from bot.drivers.browser.page import BrowserSettings, PageGoneError
from bot.platforms.pages.attendance import FAREWELL_S

NOBODY = 1 << 30
"""A process id that the kernel gives to none."""


class Frozen:
    """A Chromium, its page and its driver: they answer nothing before they are killed, and nothing is left then.

    Args:
        dies: Else they are there, killed or not.
    """

    def __init__(self, dies: bool = True) -> None:
        self.done: list[str] = []
        self._dies, self._killed, self._loop = dies, asyncio.Event(), asyncio.get_running_loop()

    async def close(self) -> None:
        """Of the context."""
        self.done.append("close")
        await self._killed.wait()

    async def stop(self) -> None:
        """Of the driver."""
        await self._killed.wait()

    def kill(self, folder: Path) -> set[int]:
        """In place of `launch._kill_now`, which runs in a thread."""
        if "kill" not in self.done:
            self.done.append("kill")
        if not self._dies:
            return {NOBODY}
        self._loop.call_soon_threadsafe(self._killed.set)
        return set()


def scripted(monkeypatch: pytest.MonkeyPatch, dies: bool = True) -> Frozen:
    """A Chromium that `launch.chromium` starts in place of a real one."""
    frozen = Frozen(dies)

    @asynccontextmanager
    async def driver(folder: Path) -> AsyncIterator[Any]:
        yield frozen
        await within(frozen.stop(), CLOSE_TIMEOUT_S)

    async def start(*_: Any) -> Frozen:
        return frozen

    monkeypatch.setattr(launch, "_folder", lambda: nullcontext(Path("/nowhere")))
    monkeypatch.setattr(launch, "running_driver", driver)
    monkeypatch.setattr(launch, "_launch", start)
    monkeypatch.setattr(launch, "_kill_now", frozen.kill)
    return frozen


async def leave(failure: Exception | None) -> float:
    """Opens a Chromium and leaves it, or fails in it; returns how long leaving took, in virtual seconds."""
    loop = asyncio.get_running_loop()
    left = loop.time()
    try:
        async with launch.chromium(BrowserSettings(allow_no_sandbox=True), "127.0.0.1:1"):
            left = loop.time()
            if failure is not None:
                raise failure
    except PageGoneError:
        pass
    return loop.time() - left


async def test_a_page_that_froze_is_killed_and_asked_nothing_first(
    virtual_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one is started at once: nobody waits for answers of one that gives none."""
    frozen = scripted(monkeypatch)
    assert await leave(PageGoneError("its renderer has not answered")) < 0.1
    assert frozen.done[0] == "kill"


async def test_a_page_that_lives_is_asked_to_close(virtual_time: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves the meeting in good order; if it does not answer, it is killed, and its driver is not waited for."""
    frozen = scripted(monkeypatch)
    assert await leave(None) == pytest.approx(CLOSE_TIMEOUT_S, abs=0.1)
    assert frozen.done == ["close", "kill"]


async def test_what_outlives_being_killed_is_not_waited_for_twice(
    virtual_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a starved machine the dead stay for seconds: a bot has left within its two, whatever is still there."""
    scripted(monkeypatch, dies=False)
    assert FAREWELL_S + await leave(None) < 2.0


async def test_whoever_cancels_a_close_leaves_nothing_running(virtual_time: None) -> None:
    """What the close raises then is taken: else it would be an error in the log some time later."""

    async def close() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("closed")

    before = asyncio.all_tasks()
    waiting = asyncio.create_task(within(close(), 10.0))
    await asyncio.sleep(1.0)
    (closing,) = asyncio.all_tasks() - before - {waiting}
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert closing.done()
    assert not closing._log_traceback


def test_a_folder_that_is_just_being_made_is_not_swept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another bot that starts at any moment of it leaves the folder alone, and takes away what is left behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    old = tmp_path / f"{launch.PREFIX}old"
    old.mkdir()
    (old / "lock").touch()
    before, asked = fcntl.flock, [0]

    def flock(file: Any, how: int) -> None:
        if how == fcntl.LOCK_EX and not asked[0]:  # ours, and not the sweeper's
            asked[0] += 1
            launch.sweep()
        before(file, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with launch._folder() as folder:
        assert asked == [1]
        assert folder.is_dir()
        launch.sweep()
        assert (folder / "lock").is_file()
    assert list(tmp_path.iterdir()) == []
