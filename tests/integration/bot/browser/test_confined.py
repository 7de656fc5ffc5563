"""Chromium with its sandbox on, as a normal user: heard as without."""

from __future__ import annotations

import asyncio
import shutil
import sys

import pytest

from tests.support.processes import ended
from tests.support.servers.pages import chromium_settings
from tests.support.tools import require

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(60)]

PROGRAM = """
import asyncio, os, tempfile
from pathlib import Path
from bot.drivers.browser.launch import PREFIX, is_confined
from bot.drivers.browser.page import open_page
from tests.support.servers.pages import ON_ONE_MACHINE, Heard, chromium_settings, page, serve_pages

async def main():
    heard, settings = Heard(), chromium_settings(allow_no_sandbox=False)
    async with serve_pages({"/": page("call(tone(440));")}) as url:
        async with open_page(settings, heard, arguments=ON_ONE_MACHINE) as shown:
            await shown.goto(url)
            await heard.until(lambda: heard.pitches() == [440], "the tone", 30)
            (folder,) = Path(tempfile.gettempdir()).glob(PREFIX + "*")
            print(os.geteuid(), is_confined(folder))

asyncio.run(main())
"""


async def test_the_sandbox_is_on_and_the_page_is_heard(tmp_path_factory: pytest.TempPathFactory) -> None:
    """As uid 1000 every renderer is confined beyond what holds for us, and the page is heard."""
    chromium_settings()
    unshare = shutil.which("unshare")
    require(unshare, "unshare is missing: apt install util-linux")
    as_somebody = (str(unshare), "--user", "--map-user=1000", "--map-group=1000")
    folder = tmp_path_factory.mktemp("t", numbered=True)
    bot = await asyncio.create_subprocess_exec(
        *(*as_somebody, "env", f"TMPDIR={folder}", sys.executable, "-c", PROGRAM),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with ended(bot):
        said, complaints = await asyncio.wait_for(bot.communicate(), 50)
        assert said.decode().split() == ["1000", "True"], complaints.decode()[-2000:]
    assert not list(folder.iterdir())
