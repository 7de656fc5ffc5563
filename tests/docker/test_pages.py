"""The users' own scenario on a web platform: Redis, a transcriber, a page as of Teams and a bot with Chromium."""

from __future__ import annotations

import json

from tests.docker.test_browser import PROFILE
from tests.docker.test_meeting import ANA_AND_BEN, CANARY, config, ended
from tests.support.servers.containers import BROWSER, World

CHROMIUM = (*PROFILE, "--shm-size", "1g", "--tmpfs", "/tmp")
PERIOD_S = 4.3
"""From one first word to the next: nobody else may be shown in the second after the last one (`bot/audio/floor`)."""
MEETING = f"https://teams.microsoft.com/meet/1234567890123?p={CANARY}"


def test_a_teams_meeting_in_containers(here: World) -> None:
    """Lobby, admission, two speakers by their names in Redis, removed by the host; nothing secret in any log."""
    clips = ("ana1", "ben5", "ana2", "ben1", "ana1", "ben5")
    speech = [
        {"at": 2 + number * PERIOD_S, "who": clip[:3], "do": "speak", "clip": clip} for number, clip in enumerate(clips)
    ]
    script = {
        "lobby": {"delay": 2, "then": "admit"},
        "participants": ANA_AND_BEN,
        "timeline": [*speech, {"at": 2 + len(clips) * PERIOD_S, "do": "remove"}],
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
    kinds = [payload["type"] for payload in here.segments(uid)]
    assert (kinds[0], kinds[-1]) == ("session_start", "session_end")
    finals = here.finals(uid)
    assert len(finals) == len(speech)
    names = {one["id"]: one["name"] for one in ANA_AND_BEN}
    said = [(final["speaker"], names[str(one["who"])]) for final, one in zip(finals, speech, strict=True)]
    assert all(name in ("unknown", truth) for name, truth in said), said
    # each of both by name; a page that has no time to run may leave this or that one out
    assert {name for name, _ in said} >= set(names.values()), said
    assert all(final["speaker_id"] == final["speaker"] for final in finals if final["speaker"] != "unknown")
    assert CANARY not in bot.output() + json.dumps(here.statuses(uid))
    assert "contract" not in bot.output()
