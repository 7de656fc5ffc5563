"""Honest mistakes in a configuration: each is said as what it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.config import BotConfig, ConfigError, load_config

NEEDED = {"redisUrl": "redis://redis", "platform": "rehearsal", "meetingUrl": "rehearsal:x"}
GOOD: dict[str, Any] = NEEDED | {"whisperLiveUrl": "ws://whisper:9090"}


def load(given: dict[str, Any], environment: dict[str, str] | None = None) -> tuple[BotConfig, list[str]]:
    """Loads it."""
    return load_config(json.dumps(given), environment or {}, in_container=False)


def problems(given: dict[str, Any], environment: dict[str, str] | None = None) -> list[str]:
    """Where it is wrong."""
    with pytest.raises(ConfigError) as caught:
        load(given, environment)
    return [problem.path for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/etc/bot.json", "this is a file's name: `--config` takes one"),
        ('{"platform": "zoom", // why\n"task": 1}', "a comment begins with // and has a line of its own"),
        ('{"platform": "zoom" /* why */}', "a line of its own"),
    ],
)
def test_what_was_meant_is_said(text: str, words: str) -> None:
    """Where it can be told from what is no JSON."""
    with pytest.raises(ConfigError) as caught:
        load_config(text, {})
    assert words in str(caught.value)


def test_addresses_are_no_comments() -> None:
    """A comma that is missing behind one."""
    with pytest.raises(ConfigError) as caught:
        load_config('{"meetingUrl": "wss://h" "task": 1}', {})
    assert "comment" not in str(caught.value)


def test_a_byte_order_mark_is_no_error() -> None:
    """Windows' editors write one."""
    text = "\ufeff" + json.dumps(GOOD)
    assert load_config(text, {})[0].platform == "rehearsal"


def test_a_key_that_stands_twice_is_said() -> None:
    """JSON takes the last one, and whoever pasted the other wonders."""
    text = json.dumps(GOOD)[:-1] + ', "redisUrl": "redis://other"}'
    config, warnings = load_config(text, {}, in_container=False)
    assert config.redis_url.get_secret_value() == "redis://other"
    assert warnings == ["key 'redisUrl' stands twice in one object: the last one counts"]


def test_a_link_is_no_id() -> None:
    """Where it goes, and what an id looks like."""
    link = "https://meet.google.com/abc-defg-hij"
    with pytest.raises(ConfigError, match="a whole link is a meetingUrl"):
        load(GOOD | {"platform": "google_meet", "meetingUrl": None, "nativeMeetingId": link})


@pytest.mark.parametrize("path", ["/meetings", "/1/2", "/-1"])
def test_a_database_of_redis_is_a_number(path: str) -> None:
    """The client takes what digits there are, or the first one: the transcript would be where nobody looks."""
    assert problems(GOOD | {"redisUrl": f"redis://redis:6379{path}"}) == ["redisUrl"]
    assert load(GOOD | {"redisUrl": "redis://redis:6379/"})


def test_of_several_transcribers_each_has_its_origin() -> None:
    """Whoever wrote the first one in the configuration is not sent to the environment."""
    fallback = {"WHISPER_LIVE_URL_FALLBACK": "ws://b:9090 ws://c:9090"}
    assert list(problems(GOOD, fallback)) == ["whisperLiveUrl[1] (from WHISPER_LIVE_URL_FALLBACK, a comma list)"]
    assert "whisperLiveUrl[0]" in problems(GOOD | {"whisperLiveUrl": "http://a"}, fallback)
    found = problems(NEEDED, fallback | {"WHISPER_LIVE_URL": "http://a"})
    assert "whisperLiveUrl[0] (from WHISPER_LIVE_URL)" in found


def test_languages_that_are_not_detected_are_said() -> None:
    """Whoever speaks another one than that which is named would come out in it, and nobody knew why."""
    _, warnings = load(GOOD | {"language": "de", "allowedLanguages": ["de", "en"]})
    assert [warning.split(":")[0] for warning in warnings] == ["allowedLanguages is ignored"]
    config, warnings = load(GOOD | {"language": "auto", "allowedLanguages": ["de", "English"]})
    assert (config.allowed_languages, warnings) == (("de", "en"), [])


def test_times_that_were_meant_as_seconds_are_said() -> None:
    """An hour that is 3.6 seconds looks like a bot that just exited."""
    leave = {"timeout": 7200, "everyoneLeftTimeout": 60, "waitingRoomTimeout": 300, "silenceTimeout": 5000}
    given = {"automaticLeave": leave, "maxDurationMs": 3600}
    page = {"platform": "jitsi", "meetingUrl": "https://meet.jit.si/x", "jitsi": {"notStartedTimeout": 240}}
    _, warnings = load(GOOD | page | given)
    said = {warning.partition(" is ")[0]: warning for warning in warnings}
    assert set(said) == {
        "automaticLeave.timeout",
        "automaticLeave.everyoneLeftTimeout",
        "automaticLeave.waitingRoomTimeout",
        "maxDurationMs",
        "jitsi.notStartedTimeout",
    }
    assert said["maxDurationMs"] == "maxDurationMs is 3600: times are in milliseconds, and that is 3.6 s"
    _, switched_off = load(GOOD | {"automaticLeave": {**leave, "enabled": False}})
    assert [warning.partition(" is ")[0] for warning in switched_off] == ["automaticLeave.waitingRoomTimeout"]


def test_half_a_character_is_replaced_and_said() -> None:
    """A manager that cuts a name after so many UTF-16 units may cut an emoji in two: no reason to miss the meeting."""
    config, warnings = load(GOOD | {"botName": "Notes \ud83e"})
    assert config.bot_name == "Notes \ufffd"
    assert [warning for warning in warnings if warning.startswith("botName has half")]
    assert "whisperLiveUrl[1]" in problems(GOOD | {"whisperLiveUrl": ["ws://t:1", "\udc80"]})
