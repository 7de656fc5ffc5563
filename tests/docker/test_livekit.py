"""A real livekit-server, real publishers and the bot, each in a container."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from tests.docker.test_meeting import CANARY, SPEECH, USERS_CONFIG, ended
from tests.support.servers.containers import ROOT, SDK, World, docker, eventually
from tests.support.tools import require

IMAGE = "earshot/livekit-server:test"
KEY, SECRET = "bots", f"{CANARY}-secret-of-the-livekit-server-0123456789"
RTC = "rtc: {tcp_port: 7881, udp_port: 7882, use_external_ip: false}"


@pytest.fixture(scope="module")
def livekit(here: World) -> str:
    """A server on the network, as compose.yaml runs it; returns its URL."""
    require((ROOT / "build/bin/livekit-server").is_file(), "no livekit-server: make build/bin/livekit-server")
    docker("build", "-q", "-f", "docker/livekit.Dockerfile", "-t", IMAGE, ".", within=300)
    name = here.start(
        "livekit", IMAGE, "-e", f"LIVEKIT_KEYS={KEY}: {SECRET}", "-e", f"LIVEKIT_CONFIG=port: 7880\n{RTC}\n"
    )  # fmt: skip
    eventually(lambda: "starting LiveKit server" in docker("logs", name), "livekit-server listens")
    return "ws://livekit:7880"


def test_a_livekit_room_becomes_segments(here: World, livekit: str) -> None:
    """Names from LiveKit's participants; the server's secret is in no log and no payload."""
    script = {
        "version": 1,
        "participants": [{"id": "ana", "name": "Ana Silva"}, {"id": "ben", "name": "Ben Okafor"}],
        "timeline": [*SPEECH, {"at": 10, "do": "end"}],
    }
    path = here.folder / "livekit.json"
    path.write_text(json.dumps(script), encoding="utf-8")
    keys = ("-e", f"LIVEKIT_API_KEY={KEY}", "-e", f"LIVEKIT_API_SECRET={SECRET}")
    mount = ("-v", f"{path}:/meeting.json:ro", "--no-healthcheck", "--entrypoint", "python")
    command = ("-m", "rehearsal.livekit.room", "/meeting.json", "--url", livekit, "--room", "standup")
    uid = f"c-{uuid4().hex[:8]}"
    settings = {
        **USERS_CONFIG,
        "platform": "livekit",
        "meetingUrl": livekit,
        "livekit": {"room": "standup", "apiKey": KEY, "apiSecret": SECRET},
        "meeting_id": 43,
        "connectionId": uid,
    }
    with here.run("publishers", SDK, *keys, *mount, command=command) as room:
        eventually(lambda: "ready" in room.output(), "the publishers are there")
        with here.bot(settings) as bot:
            assert bot.exit_code(60) == 0, bot.output()
    assert ended(bot)["code"] == "meeting_ended"
    assert [segment["speaker"] for segment in here.finals(uid)] == ["Ana Silva", "Ben Okafor", "Ana Silva"]
    assert CANARY not in bot.output() + json.dumps(here.segments(uid) + here.statuses(uid))
