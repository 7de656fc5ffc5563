"""Settings of recordings and of the bucket that they go to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.config import BotConfig, ConfigError, load_config
from bot.signatures import Bucket

BUCKET = {"endpoint": "http://minio:9000", "bucket": "meetings", "accessKey": "bots", "secretKey": "canary-secret"}
BASE = {"platform": "rehearsal", "meetingUrl": "rehearsal:x", "redisUrl": "redis://h", "whisperLiveUrl": "ws://h"}


def loaded(**changes: Any) -> BotConfig:
    """A configuration with changes."""
    return load_config(json.dumps(BASE | changes), {}, in_container=False)[0]


def problems(**changes: Any) -> dict[str, str]:
    """Path → what is allowed, of a configuration that must be refused."""
    with pytest.raises(ConfigError) as caught:
        loaded(**changes)
    return {problem.path: problem.allowed for problem in caught.value.problems}


def test_a_bucket_and_its_secret() -> None:
    """The secret is never shown, and masked in logs."""
    config = loaded(recording={"dir": "/r", "upload": True}, objectStore=BUCKET)
    assert config.object_store is not None
    assert Bucket(**config.object_store.parts()) == Bucket("http://minio:9000", "meetings", "bots", "canary-secret")
    assert config.masked()["objectStore"]["secretKey"] == "***"
    assert "canary-secret" in config.secrets()
    assert "canary" not in repr(config)


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"recording": {}}, "recording.dir", "Folder"),
        ({"recording": {"dir": "/r", "perTrack": False}}, "recording", "perTrack or mixed"),
        ({"recording": {"dir": "/r", "segmentSeconds": 1}}, "recording.segmentSeconds", "5"),
        ({"recording": {"dir": "/r", "format": "mp3"}}, "recording.format", "'wav' or 'flac'"),
        ({"recording": {"dir": "/r", "upload": True}}, "objectStore", "a bucket for recording.upload"),
        ({"browser": {"evidenceUpload": True}}, "objectStore", "a bucket for browser.evidenceUpload"),
        ({"recording": {"dir": "/r", "processUrl": "ws://h"}}, "recording.processUrl", "http://host:port/process"),
        ({"recording": {"dir": "/r", "processUrl": "http://169.254.1.1/"}}, "recording.processUrl", "another host"),
        ({"objectStore": BUCKET | {"endpoint": "minio:9000"}}, "objectStore.endpoint", "http://host:port"),
        ({"objectStore": BUCKET | {"endpoint": "http://169.254.1.1"}}, "objectStore.endpoint", "another host"),
        ({"objectStore": BUCKET | {"bucket": "a/b"}}, "objectStore.bucket", "Name of the bucket, which"),
        ({"objectStore": BUCKET | {"bucket": "b"}}, "objectStore.bucket", "; text that fits ^[A-Za-z0-9]"),
    ],
)
def test_what_cannot_be(changes: dict[str, Any], path: str, words: str) -> None:
    """Each at its place."""
    found = problems(**changes)
    assert list(found) == [path]
    assert words in found[path]


def test_flac_needs_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is said before the meeting."""
    assert loaded(recording={"dir": "/r", "format": "flac"}).recording is not None
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "flac needs PyAV" in problems(recording={"dir": "/r", "format": "flac"})["recording"]
