"""Names on pages that mix: quick turns and overlaps of three people, and no word under the name of somebody else."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from bot.audio.floor import Floor
from bot.core import events as ev
from bot.platforms import load
from bot.platforms.orders import Orders
from common.audio.pcm import SAMPLE_RATE
from rehearsal.clips import load_script
from rehearsal.microphone import Truth
from rehearsal.pages.room import Look, PageRoom
from rehearsal.webrtc.room import listening
from tests.support.fakes.listener import RecordingListener
from tests.support.servers.meeting_pages import invited

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.usefixtures("driver_of_file"),
]

SPOKEN = [
    (2.0, "ana", "ana1"),
    (6.0, "ben", "ben2"),
    (8.3, "ewan", "ewan5"),  # at once after Ben
    (9.3, "ana", "ana3"),  # over Ewan
    (14.0, "ben", "ben5"),
    (14.2, "ewan", "ewan2"),  # both from the start
    (19.0, "ewan", "ewan8"),
    (23.5, "ana", "ana2"),
]
"""When, who, which clip."""
ALONE = {"ana1", "ewan8", "ana2"}
"""Clips that nobody else is near."""


@pytest.mark.parametrize("platform", ["google_meet", "teams", "zoom"])
async def test_nobody_is_named_for_what_somebody_else_said(platform: str, tmp_path: Path) -> None:
    """Each of the room's true utterances, asked of the floor that the page's reports make: the right name, or none."""
    path = tmp_path / "script.json"
    people = [{"id": who, "name": who.title()} for who in ("ana", "ben", "ewan")]
    timeline = [{"at": at, "who": who, "do": "speak", "clip": clip} for at, who, clip in SPOKEN]
    path.write_text(
        json.dumps({"version": 1, "participants": people, "timeline": [*timeline, {"at": 28.0, "do": "end"}]})
    )
    script, clips = load_script(path)
    listener, orders = RecordingListener(40.0), Orders()
    async with listening(PageRoom(script, clips, look=Look(platform))) as room:
        attending = asyncio.create_task(load(platform).attend(invited(platform, room.origin), listener, orders))
        await listener.until(lambda: listener.admitted or attending.done(), "admitted")
        await asyncio.wait_for(attending, 60)
    (admitted,) = [at for at, event in listener.events if isinstance(event, ev.Admitted)]
    floor = Floor(admitted)
    for event in listener.of(ev.ActiveSpeakers):
        floor.report(event.participant_ids, event.at)
    names = {event.participant_id: event.name for event in listener.of(ev.ParticipantJoined)}
    assert room.admission is not None
    shift = room.admission - admitted
    heard = [(row, _speaker(floor, row, shift)) for row in room.truth if row.complete]
    assert len(heard) == 8
    assert [row.name for row, who in heard if who is not None and names[who] != row.name] == []
    named = {_clip(row) for row, who in heard if who is not None}
    assert named & ALONE, heard  # on a busy machine not every report is fresh


def _speaker(floor: Floor, row: Truth, shift: float) -> str | None:
    return floor.speaker(round((row.start + shift) * SAMPLE_RATE), round((row.end + shift) * SAMPLE_RATE))


def _clip(row: Truth) -> str:
    """What they said nearest to that time."""
    return min((abs(at - row.start), clip) for at, who, clip in SPOKEN if who == row.participant)[1]
