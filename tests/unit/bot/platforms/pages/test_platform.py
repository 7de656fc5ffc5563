"""What a platform in a web page says of a configuration: its packs, and what does nothing yet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.config import load_config
from bot.platforms import PLATFORMS
from bot.platforms.pages.packs import load_pack, our_text
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


def test_a_language_of_which_no_pack_has_words_is_said() -> None:
    """Pages in it are understood by their selectors alone."""
    assert warnings({"locale": "ja"}) == []
    [warning] = warnings({"locale": "it-IT"})
    assert "en, de, fr, es, pt, ja" in warning


def test_captions_that_cannot_come_are_said() -> None:
    """Nobody waits for captions of a page whose pack does not know them."""
    assert warnings({}, captions=True) == []
    meeting = {
        "platform": "zoom",
        "meetingUrl": "https://zoom.us/j/1234567890",
        "meeting_id": 1,
        "redisUrl": "redis://r",
    }
    text = json.dumps({**meeting, "whisperLiveUrl": "ws://t:1", "zoom": {"captions": True}})
    [warning] = load_config(text, {}, in_container=False)[1]
    assert "knows no captions" in warning


def test_a_host_of_ones_own_is_a_name() -> None:
    """With a port it is refused in words that say where the port goes."""
    meeting = {
        "platform": "jitsi",
        "meetingUrl": "https://jitsi.example.org/Room",
        "meeting_id": 1,
        "redisUrl": "redis://r",
    }
    for host, expected in (("jitsi.example.org:8443", "without scheme or port"), ("jitsi.example.org", None)):
        text = json.dumps({**meeting, "whisperLiveUrl": "ws://t:1", "jitsi": {"hosts": [host]}})
        if expected is None:
            assert load_config(text, {}, in_container=False)[1] == []
        else:
            with pytest.raises(ConfigError, match=expected):
                load_config(text, {}, in_container=False)


def test_a_platform_from_outside_has_its_pack_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever adds one to `PLATFORMS` in a program of their own puts everything into a folder of their own."""
    (tmp_path / "acme_meetings").mkdir()
    (tmp_path / "acme_meetings/__init__.py").touch()
    pack = our_text("zoom").replace('platform = "zoom"', 'platform = "acme"')
    (tmp_path / "acme_meetings/selectors.toml").write_text(pack, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(PLATFORMS, "acme", "acme_meetings:Acme")
    assert load_pack("acme").platform == "acme"
