"""Where a room's stream is published and played."""

from __future__ import annotations

from pydantic import SecretStr

from bot.platforms.livekit.room_stream import PUBLISH_KEY_LIFE_S, RoomStream
from bot.platforms.livekit.settings import EgressSettings
from bot.platforms.rtmp.access import KEY_LIFE_S, key

NOW = 1_700_000_000


def test_without_a_secret() -> None:
    """The stream is named after the bot, whatever its id is made of; both ends may reach the server differently."""
    settings = EgressSettings(ingest_url="rtmp://in.example.com/live/", pull_url="rtmp://127.0.0.1:1935/live")
    stream = RoomStream(settings, "bot/1?x", lambda: NOW)
    assert stream.to_publish == "rtmp://in.example.com/live/bot%2F1%3Fx"
    assert stream.to_play == "rtmp://127.0.0.1:1935/live/bot%2F1%3Fx"


def test_keys() -> None:
    """One to publish, for hours, and one to play, for a moment: neither opens what the other does."""
    stream = RoomStream(EgressSettings(ingest_url="rtmp://h/live", secret=SecretStr("s" * 16)), "bot-1", lambda: NOW)
    publish, play = NOW + PUBLISH_KEY_LIFE_S, NOW + KEY_LIFE_S
    assert (
        stream.to_publish == f"rtmp://h/live/bot-1?e={publish}&k={key('publish', 'live', 'bot-1', publish, 's' * 16)}"
    )
    assert stream.to_play == f"rtmp://h/live/bot-1?e={play}&k={key('play', 'live', 'bot-1', play, 's' * 16)}"
