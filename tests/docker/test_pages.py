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
    later = [{**one, "at": at} for one, at in zip(SPEECH * 2, (2.0, 5.0, 8.0, 12.0, 15.0, 18.0), strict=True)]
    script = {
        "lobby": {"delay": 2, "then": "admit"},
        "participants": ANA_AND_BEN,
        "timeline": [*later, {"at": 24, "do": "remove"}],
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
    said = [segment["speaker"] for segment in here.finals(uid)]
    assert len(said) == len(later)
    for name, one in zip(
        said, later, strict=True
    ):  # a page that is starved of time names nobody, and never a wrong one
        assert name in ("unknown", {"ana": "Ana Silva", "ben": "Ben Okafor"}[str(one["who"])])
    assert set(said) - {"unknown"}
    assert CANARY not in bot.output() + json.dumps(here.statuses(uid))
    assert "contract" not in bot.output()
