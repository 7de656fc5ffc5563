"""What is kept of a page in real Chromium: readable for whoever mends it, and not about whom it was."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from bot.drivers.browser.page import MeetingPage, open_page
from bot.platforms import load
from bot.platforms.base import Invitation
from bot.platforms.orders import Orders
from bot.platforms.pages import PagePlatform, attendance, evidence
from bot.platforms.pages.evidence import begin_trace, drop_trace, keep_evidence
from bot.platforms.pages.look import Look
from bot.platforms.pages.packs import load_pack
from common.contracts.status import SubCode
from common.errors import EarshotError
from tests.support.fakes.listener import RecordingListener
from tests.support.servers.meeting_pages import invited
from tests.support.servers.pages import Heard, chromium_settings, serve_pages

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(90)]

PAGE = """<!doctype html><title>Budget talks of Ana</title><body>
<h1>You can't join this call</h1><p>Ana denied your request, Banana did not.</p>
<button aria-label="Pin JOSÉ PÉREZ (2) to your screen">Pin</button><div data-participant-id="1">Somebody else</div>
<input value="typed"><iframe srcdoc="<p>Ana Lopez is in this call</p>"></iframe>"""


@pytest.fixture(autouse=True)
def _nothing_was_kept_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "_kept", 0)


def contents(paths: Iterable[str]) -> list[bytes]:
    """What is in the files, which nobody else can read."""
    assert {Path(path).stat().st_mode & 0o777 for path in paths} == {0o600}
    return [Path(path).read_bytes() for path in paths]


async def marked(page: MeetingPage) -> list[str]:
    """The texts of what is blurred because a name is in it, in every frame."""
    script = f"[...document.querySelectorAll('[{evidence.MARK}]')].map((one) => one.innerText)"
    return [text for frame in page.page.frames for text in await frame.evaluate(script)]


async def test_names_are_readable_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in sentences, labels and frames of the page; a trace is another thing, and left out where it is too large."""
    settings = chromium_settings(evidence_dir=str(tmp_path / "kept"), trace=True)
    invitation = Invitation(None, "bot-1", "Earshot", browser=settings)
    names = ["Ana Lopez", "José Pérez (2)", "", "7"]
    async with serve_pages({"/": PAGE}) as origin, open_page(settings, Heard()) as page:
        await begin_trace(page)
        await page.goto(origin)
        paths = await keep_evidence(page, load_pack("google_meet"), invitation, "denied", Look(), names)
        assert [Path(path).suffixes[-1] for path in paths] == [".jpeg", ".json", ".zip"]
        assert sorted(await marked(page)) == [
            "Ana Lopez is in this call",
            "Ana denied your request, Banana did not.",
            "Pin",
        ]
        picture, summary, trace = contents(paths)
        told = json.loads(summary)
        words = json.dumps(told, ensure_ascii=False)
        assert "▒ denied your request, Banana did not." in words
        assert "You can't join this call" in words
        assert not any(name in words for name in ("Ana ", "JOS", "Budget", "Somebody", "typed"))
        assert picture[:3] == b"\xff\xd8\xff"
        assert any(name.endswith(".trace") for name in zipfile.ZipFile(io.BytesIO(trace)).namelist())
        monkeypatch.setattr(evidence, "MAX_BYTES", len(picture) + 4_000)
        await begin_trace(page)
        again = await keep_evidence(page, load_pack("google_meet"), invitation, "denied", Look(), names)
        assert [Path(path).suffix for path in again] == [".jpeg", ".json"]
        await drop_trace(page)


async def test_a_browser_that_died_leaves_what_was_seen_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no page to be photographed: where it was and what was found there is told, and where that is."""

    async def stay(*_: Any, **__: Any) -> SubCode:
        raise EarshotError(SubCode.BROWSER_CRASHED, "it died 4 times")

    monkeypatch.setattr(attendance, "stay", stay)
    platform = load("teams")
    assert isinstance(platform, PagePlatform)
    invitation = invited("teams", "http://127.0.0.1:1", browser=chromium_settings(evidence_dir=str(tmp_path)))
    with pytest.raises(EarshotError, match="4 times") as failure:
        await attendance.attend(platform.site(invitation), invitation, RecordingListener(), Orders())
    (summary,) = contents(failure.value.evidence)
    told = json.loads(summary)
    assert (told["code"], told["platform"], told["last"]["people"]) == ("browser_crashed", "teams", 0)
