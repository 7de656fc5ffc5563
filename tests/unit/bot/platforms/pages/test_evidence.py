"""Evidence of a page that dies while it is looked at. The page is a fake."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from bot.drivers.browser.page import PageGoneError
from bot.drivers.browser.settings import BrowserSettings
from bot.platforms.base import Invitation
from bot.platforms.pages.evidence import keep_evidence
from bot.platforms.pages.look import Look
from bot.platforms.pages.packs import load_pack


class Dying:
    """It dies when it is asked something."""

    def __init__(self) -> None:
        self.gone: asyncio.Future[PageGoneError] = asyncio.get_running_loop().create_future()

    async def evaluate(self, script: str, argument: Any = None) -> Any:
        """As `MeetingPage.evaluate`."""
        self.gone.set_result(PageGoneError("its renderer crashed"))
        raise self.gone.result()


async def test_a_page_that_dies_then_is_no_other_failure(tmp_path: Path) -> None:
    """What had ended the meeting stays what has ended it: a page that is gone would be opened again."""
    pack = await asyncio.to_thread(load_pack, "zoom", None)
    settings = BrowserSettings(evidence_dir=str(tmp_path))
    invitation = Invitation("https://zoom.us/j/123", "bot-1", "Earshot", browser=settings)
    page: Any = Dying()
    (kept,) = await keep_evidence(page, pack, invitation, "join_refused", Look(host="zoom.us"), ["Ana"])
    assert json.loads(await asyncio.to_thread(Path(kept).read_text))["code"] == "join_refused"
