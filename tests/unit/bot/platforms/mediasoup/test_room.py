"""What a mediasoup application sends around its own messages, as it should be and as it should not."""

from __future__ import annotations

from bot.platforms.base import Invitation
from bot.platforms.mediasoup.room import MediasoupRoom
from bot.platforms.mediasoup.settings import MediasoupSettings
from common.contracts.status import SubCode
from tests.support.examples import MALFORMED
from tests.support.garbage import garbage


def room() -> MediasoupRoom:
    """One that has not been entered, on no connection."""
    invitation = Invitation("mediasoup+ws://host", "bot-1", "Earshot", settings=MediasoupSettings(room="r"))
    return MediasoupRoom(None, invitation, lambda: None, lambda track: None)  # type: ignore[arg-type]


def test_which_request_a_message_answers() -> None:
    """A response with a number; everything else came unasked. The first reason for an end is the one."""
    here = room()
    assert here.answers({"id": 7, "type": "response"}) == 7
    assert here.answers({"id": 7, "type": "newProducer"}) is None
    assert here.answers({"id": "7", "type": "response"}) is None
    here.told({"type": "kicked"})
    here.told({"type": "roomClosed"})
    assert here.ended is SubCode.REMOVED


def test_garbage_ends_nothing() -> None:
    """Many messages of any shape: none raises, and none of them is an end."""
    here = room()
    words = ("response", "peerJoined", "peerLeft", "newProducer", "ana", "audio", 7)
    for message in garbage(MALFORMED, ("id", "type", "data", "ok", "error", "peerId", "producerId", "kind"), words):
        key = here.answers(message)
        assert key is None or isinstance(key, int)
        here.told(message)
    assert here.ended is None
