"""What users do: Redis, a transcriber, a room and a bot on one network, and a consumer that reads who said what."""

from __future__ import annotations

import json
import time
import wave
from typing import Any
from uuid import uuid4

import pytest

from tests.support.servers.containers import ROOT, SDK, Run, World, docker, eventually, inspect

CANARY = "canary-3f81c2"
EXAMPLE = json.loads((ROOT / "configs" / "whisperlive-stack.example.json").read_text(encoding="utf-8"))
USERS_CONFIG: dict[str, Any] = {key: EXAMPLE[key] for key in EXAMPLE if key not in ("platform", "meetingUrl")}
"""What users of a WhisperLive stack have."""
ANA_AND_BEN = [{"id": "ana", "name": "Ana Silva"}, {"id": "ben", "name": "Ben Okafor"}]
SPEECH = [
    {"at": 0.5, "who": "ana", "do": "speak", "clip": "ana1"},
    {"at": 3.0, "who": "ben", "do": "speak", "clip": "ben5"},
    {"at": 6.0, "who": "ana", "do": "speak", "clip": "ana2"},
]


def config(meeting_url: str, **more: Any) -> dict[str, Any]:
    """The users' JSON as it is, and beside it what names the meeting."""
    return {
        **USERS_CONFIG,
        "platform": "rehearsal",
        "meetingUrl": meeting_url,
        "meeting_id": 42,
        "connectionId": f"c-{uuid4().hex[:8]}",
        "token": f"{CANARY}-token",
        "passcode": f"{CANARY}-passcode",
        **more,
    }


def ended(bot: Run) -> dict[str, Any]:
    """The one line that says why the bot ended."""
    lines = [event for event in bot.events() if event["event"] == "bot.ended"]
    assert len(lines) == 1, bot.output()
    return lines[0]


def test_the_users_scenario(here: World) -> None:
    """Lobby, two people, finals with their names in a consumer container; nothing secret or spoken in any log."""
    script = {
        "lobby": {"delay": 1, "then": "admit"},
        "participants": ANA_AND_BEN,
        "timeline": [*SPEECH, {"at": 10, "do": "end"}],
    }
    mount = ("-v", f"{ROOT}/examples/consume.py:/consume.py:ro", "--no-healthcheck", "--entrypoint", "python")
    command = ("/consume.py", USERS_CONFIG["redisUrl"], "--stop-after", "3")
    with here.room(script) as url, here.run("consumer", SDK, *mount, command=command) as consumer:
        settings = config(url)
        uid = settings["connectionId"]
        with here.bot(settings, "--health-interval", "1s") as bot:
            here.await_status(uid, "active")
            eventually(lambda: inspect(bot.name)["State"]["Health"]["Status"] == "healthy", "the bot is healthy", 8)
            assert docker("exec", bot.name, "cat", "/proc/1/comm").strip() == "tini"
            assert bot.exit_code(60) == 0
        assert consumer.exit_code(20) == 0
    assert [(s["speaker"], s["speaker_id"]) for s in here.finals(uid)] == [
        ("Ana Silva", "ana"),
        ("Ben Okafor", "ben"),
        ("Ana Silva", "ana"),
    ]
    read = consumer.output().splitlines()
    assert [line.split("] ")[1].split(":")[0] for line in read] == ["Ana Silva", "Ben Okafor", "Ana Silva"]
    assert "contract" in read[0]
    assert [payload["type"] for payload in here.segments(uid)] == [
        "session_start", "transcription", "transcription", "transcription", "session_end",
    ]  # fmt: skip
    assert [event["status"] for event in here.statuses(uid)] == ["joining", "awaiting_admission", "active", "completed"]
    assert ended(bot)["code"] == "meeting_ended"
    for log in (bot.output(), docker("logs", here.transcriber), docker("logs", here.redis)):
        assert CANARY not in log
        assert "contract" not in log


def test_a_configuration_file_in_a_volume(here: World) -> None:
    """`run --config FILE`, mounted read-only."""
    script = {"participants": ANA_AND_BEN, "timeline": [{"at": 1, "do": "end"}]}
    with here.room(script) as url:
        path = here.folder / "bot.json"
        path.write_text(json.dumps(config(url)), encoding="utf-8")
        mount = ("-v", f"{path}:/config/bot.json:ro")
        with here.run("bot", SDK, *mount, command=("run", "--config", "/config/bot.json")) as bot:
            assert bot.exit_code(40) == 0
    assert ended(bot)["code"] == "meeting_ended"


def test_docker_stop_in_the_lobby(here: World) -> None:
    """Gone within 5 s, exit code 143, and the status stream says so."""
    with here.room({"lobby": {"delay": 600, "then": "admit"}, "participants": ANA_AND_BEN, "timeline": []}) as url:
        settings = config(url)
        with here.bot(settings) as bot:
            here.await_status(settings["connectionId"], "awaiting_admission")
            assert bot.stop() < 5
            assert bot.exit_code(5) == 143
    last = here.statuses(settings["connectionId"])[-1]
    assert (last["status"], last["code"], last["exit_code"]) == ("completed", "terminated", 143)
    assert here.segments(settings["connectionId"]) == []


def test_docker_stop_in_the_middle_of_an_utterance(here: World) -> None:
    """Gone within 5 s, and what was being said is final in Redis, before session_end and the last status."""
    clips = [{"at": 0.5 + 2.8 * n, "who": "ana", "do": "speak", "clip": f"ana{1 + n % 8}"} for n in range(12)]
    with here.room({"participants": ANA_AND_BEN, "timeline": clips}) as url:
        settings = config(url, meeting_id=f"m-{uuid4().hex[:6]}")
        uid = settings["connectionId"]
        with here.bot(settings) as bot, here.live(settings["meeting_id"]) as live:
            spoken = next(segment["segment_id"] for segment in live if not segment["completed"])
            assert bot.stop() < 5
            assert bot.exit_code(5) == 143
    assert spoken in [segment["segment_id"] for segment in here.finals(uid)]
    assert here.segments(uid)[-1]["type"] == "session_end"
    last = here.statuses(uid)[-1]
    assert (last["status"], last["code"], last["exit_code"]) == ("completed", "terminated", 143)


@pytest.mark.parametrize(
    ("neighbour", "code"),
    [
        ({"whisperLiveUrl": "ws://vexa-nobody-1:9090"}, "transcriber_unreachable"),
        ({"redisUrl": "redis://vexa-nobody-1:6379"}, "redis_unreachable"),
    ],
)
def test_a_missing_neighbour_ends_it_before_it_joins(here: World, neighbour: dict[str, str], code: str) -> None:
    """Exit code 3 and one line that names the setting and the host."""
    settings = config("rehearsal+ws://room:8090", **neighbour)
    with here.bot(settings) as bot:
        assert bot.exit_code(45) == 3
    line = ended(bot)
    assert (line["code"], line["exit_code"]) == (code, 3)
    assert next(iter(neighbour)) in line["detail"]
    assert "vexa-nobody-1" in line["detail"]
    assert [event for event in bot.events() if event["level"] == "error"] == [line]


def test_a_bot_that_hears_only_zeros_says_so(here: World) -> None:
    """Somebody's audio is digital zeros: said while the meeting goes on, in one log line each, and no text is made."""
    with wave.open(str(here.folder / "zeros.wav"), "wb") as clip:
        clip.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
        clip.writeframes(bytes(2 * 16_000 * 14))
    script = {
        "participants": ANA_AND_BEN[:1],
        "timeline": [{"at": 0.5, "who": "ana", "do": "speak", "clip": "zeros.wav"}, {"at": 13, "do": "end"}],
    }
    with here.room(script) as url:
        settings = config(url)
        with here.bot(settings) as bot:
            assert bot.exit_code(60) == 0
    deaf = [event for event in bot.events() if event["event"] == "bot.health" and not event["healthy"]]
    assert [event["subject"].partition(":")[0] for event in deaf] == ["track", "room"], bot.output()
    assert here.finals(settings["connectionId"]) == []
    assert ended(bot)["code"] == "meeting_ended"


def test_a_room_where_nobody_has_a_voice(here: World) -> None:
    """The leave rule ends it: exit code 0, its reason, one line."""
    rules = {"automaticLeave": {"enabled": True, "noOneJoinedTimeout": 2000, "everyoneLeftTimeout": 2000}}
    script: dict[str, Any] = {"participants": [], "timeline": []}
    with here.room(script) as url, here.bot(config(url, **rules)) as bot:
        assert bot.exit_code(40) == 0
    assert ended(bot)["code"] == "startup_alone"


@pytest.mark.usefixtures("images")
def test_docker_default_bridge_is_named_as_the_mistake(here: World) -> None:
    """There service names do not resolve: both neighbours are named, with what to do."""
    began = time.monotonic()
    arguments = ("-e", f"BOT_CONFIG={json.dumps(config('rehearsal+ws://room:8090'))}", SDK)
    said = docker("run", "--rm", *arguments, check=False)
    lines = [json.loads(line) for line in said.splitlines()]
    line = next(line for line in lines if line["event"] == "bot.ended")
    assert line["exit_code"] == 3
    for word in ("vexa-redis-1", "vexa-whisperlive-1", "default bridge"):
        assert word in line["detail"]
    assert time.monotonic() - began < 45
