"""What a platform in a web page says of a configuration: its packs, and what does nothing yet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.config import load_config
from bot.platforms.pages.packs import our_text
from common.problems import ConfigError


def warnings(browser: dict[str, object], **settings: object) -> list[str]:
    """Of a meeting with such settings. Raises ConfigError."""
    meeting = {"platform": "google_meet", "meetingUrl": "https://meet.google.com/abc-defg-hij", "meeting_id": 1}
    places = {"redisUrl": "redis://redis:6379", "whisperLiveUrl": "ws://transcriber:9090"}
    text = json.dumps({**meeting, **places, "browser": browser, "google_meet": settings})
    return load_config(text, {}, in_container=False)[1]


def test_a_pack_of_ones_own_is_checked_with_the_configuration(tmp_path: Path) -> None:
    """A folder that is not there and a pack with mistakes are errors; a copy of ours is fine."""
    with pytest.raises(ConfigError, match="nowhere is no folder"):
        warnings({"selectorsDir": str(tmp_path / "nowhere")})
    pack = tmp_path / "google_meet.toml"
    pack.write_text(our_text("google_meet").replace("[signs.lobby]", "[signs.loby]"))
    with pytest.raises(ConfigError, match=r"no selector pack:(.|\n)*loby"):
        warnings({"selectorsDir": str(tmp_path)})
    pack.write_text(our_text("google_meet"))
    assert warnings({"selectorsDir": str(tmp_path)}) == []
    assert warnings({}) == []


def test_a_folder_without_a_pack_for_the_platform_is_said(tmp_path: Path) -> None:
    """Its name was written otherwise, perhaps: the change that is in it does not count."""
    (tmp_path / "google-meet.toml").write_text(our_text("google_meet"))
    [warning] = warnings({"selectorsDir": str(tmp_path)})
    assert "has no google_meet.toml" in warning


def test_what_does_nothing_yet_is_said() -> None:
    """Nobody waits for a view or for captions that do not come."""
    assert ["no view yet" in warning for warning in warnings({"view": True})] == [True]
    assert ["not published yet" in warning for warning in warnings({}, captions=True)] == [True]
