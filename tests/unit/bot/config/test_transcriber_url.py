"""The transcriber's URL: one text, or a list of them in order of preference."""

from __future__ import annotations

import json

import pytest

from bot.config import ConfigError, load_config


@pytest.mark.parametrize("environment", [{}, {"WHISPER_LIVE_URL": "http://one:9090"}])
def test_one_wrong_url_is_shown_whole(environment: dict[str, str]) -> None:
    """It may stand alone where a list is allowed: then it is no list, and its first letter no value."""
    raw = {"platform": "rehearsal", "meetingUrl": "rehearsal:meeting.json", "redisUrl": "redis://redis:6379"}
    if not environment:
        raw["whisperLiveUrl"] = "http://one:9090"
    with pytest.raises(ConfigError) as caught:
        load_config(json.dumps(raw), environment, in_container=False)
    (problem,) = caught.value.problems
    assert problem.path == ("whisperLiveUrl (from WHISPER_LIVE_URL)" if environment else "whisperLiveUrl")
    assert problem.value == '"http://one:9090"'
