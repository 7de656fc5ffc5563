"""`earshot doctor --url` on imitations of the pages, in real Chromium: what of a pack is found, and nobody is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.config import load_config
from bot.doctor import page as module
from bot.doctor.findings import Finding, Verdict, exit_code
from bot.doctor.invited import invited as invited_by_url
from bot.doctor.page import examine_page, with_evidence
from bot.platforms import load
from bot.platforms.pages import PagePlatform, evidence
from bot.platforms.pages.packs import our_text
from common.problems import ConfigError
from tests.support.servers.meeting_pages import DirectedPageRoom, invited, page_room
from tests.support.servers.pages import chromium_settings
from tests.support.waiting import eventually

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture(autouse=True)
def _nothing_was_kept_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "_kept", 0)


async def examined(room: DirectedPageRoom, folder: Path, *, join: bool = False, **browser: Any) -> dict[str, Finding]:
    """What the doctor finds in the room's page, by its subject."""
    platform = load(room.room.look.platform)
    assert isinstance(platform, PagePlatform)
    invitation = with_evidence(replace(room.invitation(), browser=chromium_settings(**browser)), str(folder))
    found = await examine_page(platform, invitation, join=join)
    return {finding.subject: finding for finding in found}


async def test_the_door_is_described_and_nobody_is_asked(tmp_path: Path) -> None:
    """Behind cookies that are put away; each control, and by which entry it was found; a picture."""
    async with page_room("zoom", variants=("cookies",)) as room:
        found = await examined(room, tmp_path)
        assert exit_code(list(found.values())) == 0
        assert (found["page"].verdict, found["page"].detail.split(";")[0]) == (Verdict.WORKS, "it shows: door")
        assert found["join"].detail.startswith("selector 1 of")
        assert "lobby" in found["not seen"].detail
        assert Path(found["evidence"].detail).is_relative_to(tmp_path)
        assert not room.room._peers


async def test_a_selector_that_matches_no_more_is_told(tmp_path: Path) -> None:
    """The page is understood by the next one, or by words; which one failed is in the table."""
    packs = tmp_path / "packs"
    packs.mkdir()
    pack = our_text("teams")
    assert pack.count('[data-tid="prejoin-join-button"]') + pack.count("[data-tid='prejoin-join-button']") == 1
    broken = pack.replace("[data-tid='prejoin-join-button']", "[data-tid='gone']", 1)
    (packs / "teams.toml").write_text(broken, encoding="utf-8")
    async with page_room("teams") as room:
        found = await examined(room, tmp_path, selectors_dir=str(packs))
        assert exit_code(list(found.values())) == 0
        assert "words matched (en): join now" in found["join"].detail


async def test_joining_only_when_it_is_asked_for(tmp_path: Path) -> None:
    """Inside, and out again."""
    async with page_room("google_meet") as room:
        found = await examined(room, tmp_path, join=True)
        assert found["page"].detail == "it shows: inside"
        assert "inside" in found
        await eventually(lambda: not room.room._peers, 10)


async def test_what_keeps_a_bot_out_is_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A meeting that is not there; a page of which nothing is known."""
    monkeypatch.setattr(module, "WATCH_S", 4.0)
    for state, words in (("not_found", "no such meeting"), ("loading", "docs/selectors.md")):
        async with page_room("google_meet", state=state) as room:
            found = await examined(room, tmp_path)
            assert exit_code(list(found.values())) == 4
            assert words in found["page"].remedy
            assert found["evidence"].verdict is Verdict.WORKS


def test_whose_page_it_is() -> None:
    """By the URL alone, or as the configuration says; of nobody's the forms are told."""
    page, invitation = invited_by_url("https://meet.google.com/abc-defg-hij", None, True)
    assert (page.name, invitation.browser.allow_no_sandbox) == ("google_meet", True)
    text = '{"platform": "jitsi", "meetingUrl": "https://meet.jit.si/A", "redisUrl": "redis://r", "meeting_id": 1,'
    text += ' "whisperLiveUrl": "ws://t:1", "jitsi": {"hosts": ["jitsi.example.org"]}}'
    config = load_config(text, {}, in_container=False)[0]
    page, invitation = invited_by_url("https://jitsi.example.org/Room", config, False)
    assert (page.name, invitation.meeting_url) == ("jitsi", "https://jitsi.example.org/Room")
    for url in ("https://example.com/x", "no url"):
        with pytest.raises(ConfigError, match=r"--url.*meet\.google\.com"):
            invited_by_url(url, None, False)
    with pytest.raises(ConfigError, match="--url"):
        invited_by_url("https://zoom.us/j/1234567890", config, False)


def test_the_meetings_of_tests_are_pages() -> None:
    """What the doctor is shown here is what bots are invited to."""
    assert with_evidence(invited("teams", "http://127.0.0.1:1"), "x").browser.evidence_dir == "x"
