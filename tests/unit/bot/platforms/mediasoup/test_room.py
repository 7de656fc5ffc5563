"""What a mediasoup application sends around its own messages, as it should be and as it should not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


async def test_who_comes_while_we_enter_is_heard() -> None:
    """News behind the answer to `joinRoom`, before anything else is answered: the list is older than they are."""
    here = room()
    ben = {"peerId": "ben", "name": "Ben", "producers": [{"producerId": "p2", "kind": "audio"}]}

    async def ask(key: int, message: dict[str, Any], heed: Callable[[dict[str, Any]], None] | None) -> dict[str, Any]:
        answer = {"id": key, "type": "response", "ok": True, "data": {"peers": [ben]}}
        if heed is not None:
            heed(answer)
            here.told({"type": "newProducer", "data": {"peerId": "ben", "producerId": "p3", "kind": "audio"}})
            here.told({"type": "peerJoined", "data": {"peerId": "ana", "name": "Ana"}})
        codec = {
            "kind": "audio",
            "mimeType": "audio/opus",
            "clockRate": 48000,
            "channels": 2,
            "preferredPayloadType": 100,
        }
        return answer | {"data": {"peers": [ben], "rtpCapabilities": {"codecs": [codec]}}}

    here.line.ask = ask  # type: ignore[method-assign, assignment]
    await here.enter()
    assert {who: set(seen.tracks) for who, seen in here.look().items()} == {"ben": {"p2", "p3"}, "ana": set()}


def test_garbage_ends_nothing() -> None:
    """Many messages of any shape: none raises, and none of them is an end."""
    here = room()
    words = ("response", "peerJoined", "peerLeft", "newProducer", "ana", "audio", 7)
    for message in garbage(MALFORMED, ("id", "type", "data", "ok", "error", "peerId", "producerId", "kind"), words):
        key = here.answers(message)
        assert key is None or isinstance(key, int)
        here.told(message)
    assert here.ended is None
