"""The users' own scenario on a web platform: Redis, a transcriber, a page as of Teams and a bot with Chromium."""

from __future__ import annotations

import json

from tests.docker.test_browser import PROFILE
from tests.docker.test_meeting import ANA_AND_BEN, CANARY, SPEECH, config, ended
from tests.support.servers.containers import BROWSER, World

CHROMIUM = (*PROFILE, "--shm-size", "1g", "--tmpfs", "/tmp")
MEETING = f"https://teams.microsoft.com/meet/1234567890123?p={CANARY}"


def test_a_teams_meeting_in_containers(here: World) -> None:
    """Lobby, admission, two speakers by their names in Redis, removed by the host; nothing secret in any log."""
    script = {
        "lobby": {"delay": 2, "then": "admit"},
        "participants": ANA_AND_BEN,
        # whoever speaks in the second in which we come in is unknown: the page has not said who is there
        "timeline": [
            *(one | {"at": at + 3.5} for one, at in zip(SPEECH, (0, 2.5, 5.5), strict=True)),
            {"at": 17, "do": "remove"},
        ],
    }
    with here.room(script, "teams") as url:
        origin = url.replace("rehearsal+ws://", "http://")
        settings = config(MEETING, platform="teams", teams={"origin": origin}, passcode=f"{CANARY}-1")
        uid = settings["connectionId"]
        with here.bot(settings, *CHROMIUM, image=BROWSER) as bot:
            here.await_status(uid, "active", 90)
            assert bot.exit_code(90) == 5, bot.output()
    assert [event["status"] for event in here.statuses(uid)] == ["joining", "awaiting_admission", "active", "failed"]
    assert ended(bot)["code"] == "removed"
    assert [payload["type"] for payload in here.segments(uid)][:: len(here.segments(uid)) - 1] == [
        "session_start",
        "session_end",
    ]
    assert [segment["speaker"] for segment in here.finals(uid)] == ["Ana Silva", "Ben Okafor", "Ana Silva"]
    assert CANARY not in bot.output() + json.dumps(here.statuses(uid))
    assert "contract" not in bot.output()
