"""A rehearsal room that cannot keep up, without a network."""

from __future__ import annotations

from typing import cast

from rehearsal.script import Participant, Script
from rehearsal.webrtc.peer import BotPeer
from rehearsal.webrtc.room import Room
from tests.support.numbered import clip


class FullPeer:
    """A fake bot, whose queue is full for some frames."""

    admitted = False

    def __init__(self) -> None:
        self.is_full = False

    def push(self, track: str, timestamp: int, payload: bytes) -> bool:
        """Takes it, or does not."""
        return not self.is_full


def test_what_the_room_itself_loses_is_told() -> None:
    """Counted, and the row of what was said then is not complete: nobody takes it for a loss of the bot's."""
    room, peer = Room(Script((), ()), {}), FullPeer()
    room._peers["bot"] = cast(BotPeer, peer)
    room.enter(Participant(id="ana", name="Ana"), publishes=True)
    frames = len(clip(1).pcm) // 960 + 1
    for number, loses in enumerate((False, True, False)):
        room.speak("ana", clip(number), at=number * frames / 50)
        for frame in range(number * frames, (number + 1) * frames):
            peer.is_full = loses and frame == number * frames + 30
            room._send(frame, 0.0)
    assert [row.complete for row in room.truth] == [True, False, True]
    assert room.unsent == 1
