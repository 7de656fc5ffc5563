"""A whole bot in a meeting's page: its Chromium dies and freezes, its network is cut; people are heard again."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rehearsal.livekit.server import HERMETIC_ADDRESS
from tests.faults.test_chain_meeting import away, heard_since
from tests.support.chain import PEOPLE, Chain, begun, chain
from tests.support.measures import in_time, note
from tests.support.meetings import page_meeting
from tests.support.network import Island, require_network
from tests.support.processes import descendants
from tests.support.seeds import FULL
from tests.support.servers.pages import chromium_settings

pytestmark = [
    *(pytest.mark.browser, pytest.mark.processes, pytest.mark.redis, pytest.mark.slow),
    pytest.mark.timeout(300),
]
MAX_RETURN_S = 20.0
CUTS_S = (2.0, 30.0) if FULL else (2.0,)


@asynccontextmanager
async def in_a_page(seed: int, folder: Path, island: Island | None = None) -> AsyncIterator[Chain]:
    """A bot that hears everybody in a page, and they talk."""
    found = chromium_settings()
    browser = {"executable": found.executable, "allowNoSandbox": found.allow_no_sandbox}
    async with (
        page_meeting(PEOPLE, browser, HERMETIC_ADDRESS if island else "127.0.0.1") as meeting,
        chain(seed, folder, meeting=meeting, island=island) as here,
    ):
        await here.start_bot()
        await here.hears_everybody()
        async with here.conversation():
            await here.some_time(3.0, 4.0)
            yield here
            await here.some_time(4.0, 4.0)
        await here.settled()
        assert await meeting.bots() == 1
        await here.end()


async def heard_again(here: Chain, since: float, cut: float) -> float:
    """Waits until everybody is heard; returns how long after `since`. What was said since `cut` may be lost."""
    while not heard_since(await here.finals(), since):
        await asyncio.sleep(0.1)
        assert in_time(time.time() - since, MAX_RETURN_S), "not heard again"
    here.away.append((cut, time.time()))
    return min(begun(final) for final in await here.finals() if begun(final) > since) - since


def of_chromium(bot: int, kind: str) -> int:
    """The process of a bot's page, its Chromium, or Playwright's driver."""
    found = []
    for process in descendants(bot) - {bot}:
        command = Path(f"/proc/{process}/cmdline").read_bytes()
        of_type = re.search(rb"--type=([\w-]+)", command)
        is_browser = not of_type and b"--user-data-dir" in command
        its_kind = "driver" if b"run-driver" in command else "browser" if is_browser else ""
        if kind in (its_kind, of_type[1].decode() if of_type else ""):
            found.append(process)
    return max(found)


async def test_a_page_that_dies_in_a_meeting_is_heard_again(seed: int, tmp_path: Path) -> None:
    """Killed, then frozen: the meeting is lost and back, in pairs, with the same people; nobody is there twice."""
    numbers = {}
    async with in_a_page(seed, tmp_path) as here:
        kind = here.chance.choice(["renderer", "browser", "driver"])
        for process, number in ((kind, signal.SIGKILL), ("renderer", signal.SIGSTOP)):
            killed = time.time()
            os.kill(of_chromium(here.bot.pid, process), number)
            numbers[f"heard_after_{number.name}_s"] = await heard_again(here, time.time(), killed - 1.0)
            await here.some_time(2.0, 3.0)
        assert len(await away(here)) == 2
    note("test_a_page_that_dies_in_a_meeting_is_heard_again", seed, **numbers)


async def test_a_page_whose_link_goes_down_is_heard_again(seed: int, tmp_path: Path) -> None:
    """For 2 s, and for 30: what is said before and after is there once; the bot is there once."""
    require_network()
    island, numbers = Island(), {}
    async with in_a_page(seed, tmp_path, island) as here:
        for seconds in CUTS_S:
            cut = time.time()
            await island.cut(seconds)
            numbers[f"heard_after_{seconds:g}_s"] = await heard_again(here, time.time(), cut)
            await here.some_time(3.0, 3.0)
        await away(here)  # in pairs: short ones may pass unnoticed
    note("test_a_page_whose_link_goes_down_is_heard_again", seed, **numbers)
