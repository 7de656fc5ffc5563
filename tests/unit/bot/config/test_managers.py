"""Configurations as managers of each generation write them, and what of them asks for more than this bot does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.config import BotConfig, ConfigError, load_config

OURS = {"platform": "rehearsal", "meetingUrl": "rehearsal:x"}
V6: dict[str, Any] = {
    **OURS,
    "meeting_id": 42,
    "botName": "VexaBot-1a2b3c",
    "token": "users-api-token",
    "nativeMeetingId": "abc-defg-hij",
    "connectionId": "5a0f9d6c-93a5-4f3c-b7a6-2f2c6f7a0c11",
    "language": None,
    "task": "transcribe",
    "redisUrl": "redis://redis:6379/0",
    "container_name": "vexa-bot-42-1a2b3c4d",
    "automaticLeave": {"waitingRoomTimeout": 300000, "noOneJoinedTimeout": 120000, "everyoneLeftTimeout": 60000},
    "botManagerCallbackUrl": "http://bot-manager:8080/bots/internal/callback/exited",
}
V10: dict[str, Any] = {
    **V6,
    "container_name": None,
    "botManagerCallbackUrl": None,
    "meetingApiCallbackUrl": "http://meeting-api:8080/bots/internal/callback/exited",
    "transcriptionServiceUrl": "wss://transcriber:9090",
    "transcriptionServiceToken": "stt-key-123",
    "transcriptionTier": "realtime",
    "transcribeEnabled": True,
    "recordingEnabled": False,
    "captureModes": ["audio"],
    "recordingUploadUrl": "http://meeting-api:8080/internal/recordings/upload",
    "voiceAgentEnabled": False,
    "mode": "meeting",
    "allowedLanguages": ["en", "de"],
    "videoReceiveEnabled": False,
    "cameraEnabled": False,
    "authenticated": False,
    "defaultAvatarUrl": None,
}
V12: dict[str, Any] = {
    **V10,
    "meetingApiCallbackUrl": "http://meeting-api:8080/bots/internal/callback/lifecycle",
    "internalSecret": "shared-secret",
    "transcriptionModel": "whisper-1",
    "captureSignalEnabled": False,
    "userdataS3Path": "s3://b/p",
    "s3Endpoint": "http://minio",
    "s3Bucket": "b",
    "s3AccessKey": "k",
    "s3SecretKey": "s",
    "passcode": "1234",
}


def load(config: dict[str, Any], **environment: str) -> tuple[BotConfig, list[str]]:
    """As `load_config`, outside a container."""
    return load_config(json.dumps(config), environment, in_container=False)


@pytest.mark.parametrize("config", [V6, V10, V12])
def test_what_a_manager_writes_is_taken_without_a_word(config: dict[str, Any]) -> None:
    """Every key is known, whatever it is for."""
    loaded, warnings = load(config, WHISPER_LIVE_URL="ws://traefik:8081/ws")
    assert warnings == []
    assert loaded.meeting_id == 42


def test_a_websocket_as_transcription_service_is_the_transcriber() -> None:
    """With its key; a deployment of v0.10 or v0.12 needs no other setting."""
    loaded, _ = load(V10)
    assert loaded.transcriber_urls == ("wss://transcriber:9090",)
    assert loaded.transcriber_api_key is not None
    assert loaded.transcriber_api_key.get_secret_value() == "stt-key-123"
    assert "stt-key-123" in loaded.secrets()


def test_who_names_a_transcriber_has_their_own_key() -> None:
    """The service's key goes nowhere else, and an own key stays."""
    assert load({**V10, "whisperLiveUrl": "ws://mine"})[0].transcriber_api_key is None
    mine, _ = load(V10, WHISPER_LIVE_API_KEY="mine")
    assert mine.transcriber_api_key is not None
    assert mine.transcriber_api_key.get_secret_value() == "mine"
    assert load({**V10, "transcriptionServiceToken": None})[0].transcriber_api_key is None


def test_an_http_service_is_no_transcriber() -> None:
    """The error says so: the manager's setting looks right otherwise."""
    with pytest.raises(ConfigError) as caught:
        load({**V10, "transcriptionServiceUrl": "https://stt/v1/audio/transcriptions"})
    (problem,) = caught.value.problems
    assert problem.path == "whisperLiveUrl"
    assert "transcriptionServiceUrl is no websocket server" in problem.allowed


def test_a_bot_that_may_not_transcribe_needs_no_transcriber() -> None:
    """It is an order, and not a default for when there is none."""
    loaded, warnings = load({**V12, "transcribeEnabled": False, "transcriptionServiceUrl": None})
    assert (loaded.transcribe_enabled, loaded.transcriber_urls, warnings) == (False, (), [])
    with pytest.raises(ConfigError, match="whisperLiveUrl"):
        load(V6)


def test_what_is_asked_for_and_not_done_is_said_once() -> None:
    """Recording, a voice, a login, transcribing later."""
    asked = {
        "recordingEnabled": True,
        "voiceAgentEnabled": True,
        "authenticated": True,
        "transcriptionTier": "deferred",
    }
    _, warnings = load({**V12, **asked})
    assert len(warnings) == 1
    assert all(key in warnings[0] for key in asked)


def test_what_the_oldest_managers_need_is_missed() -> None:
    """Without the platform's id or the token every segment is dropped there; without its name, the container."""
    config = {**V6, "token": None, "nativeMeetingId": None, "container_name": None}
    _, warnings = load(config, WHISPER_LIVE_URL="ws://w")
    assert [warning.split(" ")[0] for warning in warnings] == ["nativeMeetingId", "container_name"]
    assert "token" in warnings[0]
    _, warnings = load({**config, "publish": "server"}, WHISPER_LIVE_URL="ws://w")
    assert [warning.split(" ")[0] for warning in warnings] == ["container_name"]


@pytest.mark.parametrize("key", ["botManagerCallbackUrl", "meetingApiCallbackUrl"])
@pytest.mark.parametrize("url", ["m:8080/exited", "ws://m/exited", "http:///exited", "http://m:99999/", ""])
def test_a_callback_needs_an_http_url(key: str, url: str) -> None:
    """Anything else would be a bot that nobody hears of."""
    with pytest.raises(ConfigError) as caught:
        load({**OURS, "redisUrl": "redis://r", "whisperLiveUrl": "ws://w", key: url})
    assert [problem.path for problem in caught.value.problems] == [key]


@pytest.mark.parametrize(
    ("key", "url"),
    [
        ("whisperLiveUrl", "ws://169.254.169.254:80"),
        ("whisperLiveUrl", "ws://0xa9fea9fe/"),
        ("redisUrl", "redis://[fd00:ec2::254]:6379"),
        ("redisUrl", "redis://:secret@2852039166:80"),
        ("meetingApiCallbackUrl", "http://[::ffff:169.254.169.254]/latest"),
        ("botManagerCallbackUrl", "http://0251.0376.0251.0376/exited"),
    ],
)
def test_nobody_is_sent_to_a_clouds_metadata(key: str, url: str) -> None:
    """However it is spelled: the configuration is refused, and says which address was meant."""
    good = {**OURS, "redisUrl": "redis://10.0.0.1", "whisperLiveUrl": "ws://172.18.0.2:9090"}
    assert load({**good, "meetingApiCallbackUrl": "http://127.0.0.1:8080/lifecycle"})[1] == []
    with pytest.raises(ConfigError) as caught:
        load({**good, key: url})
    (problem,) = caught.value.problems
    assert problem.path.partition("[")[0] == key
    assert "metadata service" in problem.allowed
    assert "secret" not in str(caught.value)


def test_a_secret_that_no_header_takes_is_an_error() -> None:
    """It would be one at every callback."""
    with pytest.raises(ConfigError, match="internalSecret"):
        load({**V12, "internalSecret": "line\nbreak"})
