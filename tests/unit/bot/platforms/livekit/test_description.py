"""What LiveKit says about itself: URLs, what a configuration needs, warnings."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from bot.platforms.base import Invitation
from bot.platforms.livekit import LiveKit
from bot.platforms.livekit.settings import LiveKitSettings

SERVER = "ws://livekit:7880"


def test_claims_websocket_urls() -> None:
    """ws and wss are ours, the rehearsal's and the web's are not."""
    urls = ("ws://h:7880", "wss://h", "https://h", "rehearsal+ws://h:1", "rehearsal:x.json", "")
    assert [LiveKit().claims(url) for url in urls] == [True, True, False, False, False, False]


@pytest.mark.parametrize(
    ("given", "paths"),
    [
        ({}, ["meetingUrl", "token"]),
        ({"meetingUrl": "https://x", "token": "t"}, ["meetingUrl"]),
        ({"meetingUrl": 7, "livekit": {}}, ["meetingUrl", "livekit.room", "livekit.apiKey", "livekit.apiSecret"]),
        ({"meetingUrl": SERVER, "token": "t", "livekit": {"encryptionKey": "k"}}, []),
        ({"meetingUrl": SERVER, "livekit": "r"}, []),
        ({"meetingUrl": SERVER}, ["token"]),
        ({"meetingUrl": SERVER, "token": "t"}, []),
        ({"meetingUrl": SERVER, "livekit": {"room": "r"}}, ["livekit.apiKey", "livekit.apiSecret"]),
        ({"meetingUrl": SERVER, "livekit": {"room": "r", "apiKey": "k", "apiSecret": "s"}}, []),
        ({"meetingUrl": SERVER, "token": "t", "livekit": {"mode": "composite"}}, ["livekit.egress"]),
        ({"meetingUrl": SERVER, "token": "t", "livekit": {"mode": "auto", "egress": 7}}, []),
        (
            {"meetingUrl": SERVER, "token": "t", "livekit": {"egress": {"ingestUrl": "rtmp://rtmp/live"}}},
            ["livekit.apiKey", "livekit.apiSecret"],
        ),
        (
            {
                "meetingUrl": SERVER,
                "token": "t",
                "livekit": {
                    "apiKey": "k",
                    "apiSecret": "s",
                    "egress": {"ingestUrl": "http://h/live", "pullUrl": 7, "webhookUrl": "ws://h"},
                },
            },
            ["livekit.egress.ingestUrl", "livekit.egress.webhookUrl", "livekit.egress.webhookListen"],
        ),
    ],
)
def test_what_it_needs(given: dict[str, Any], paths: list[str]) -> None:
    """A server, and a token or what mints one; each error says what is allowed."""
    problems = LiveKit().problems(given)
    assert [problem.path for problem in problems] == paths
    assert all(problem.allowed.startswith("for livekit: ") for problem in problems)


@pytest.mark.parametrize(
    ("secret", "token", "warnings"),
    [
        (None, "t", []),
        ("x" * 32, None, []),
        ("secret", None, ["livekit.apiSecret has fewer than 32 characters"]),
        ("secret", "t", ["token and livekit.apiSecret are both given"]),
    ],
)
def test_warnings(secret: str | None, token: str | None, warnings: list[str]) -> None:
    """A key that can be guessed, or two ways in of which one is not taken."""
    settings = LiveKitSettings(room="r", api_key="k", api_secret=SecretStr(secret)) if secret else None
    said = LiveKit().warnings(Invitation(SERVER, "bot-1", "Earshot", settings=settings, token=token))
    assert [warning.partition(":")[0] for warning in said] == warnings


def test_its_token_is_never_the_consumers() -> None:
    """The room JWT opens the room, so it is not passed on."""
    assert LiveKit.token_opens_room
