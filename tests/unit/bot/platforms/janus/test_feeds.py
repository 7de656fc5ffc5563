"""Feeds of a Janus video room: its messages, as Janus 1.1.2 sends them, and as it never should."""

from __future__ import annotations

from typing import Any

import pytest

from bot.platforms.janus.feeds import Feeds
from common.contracts.status import SubCode
from tests.support.examples import MALFORMED
from tests.support.garbage import garbage


def audio(mid: str = "0", **changes: Any) -> dict[str, Any]:
    """A published stream."""
    return {"type": "audio", "mindex": 0, "mid": mid, "codec": "opus", **changes}


def event(**content: Any) -> dict[str, Any]:
    """What the room says to those in it."""
    return {"videoroom": "event", "room": 1234, **content}


def room(*publishers: dict[str, Any], attendees: Any = None) -> Feeds:
    """A room that we have just joined as 7."""
    feeds = Feeds(7)
    feeds.joined({"videoroom": "joined", "id": 7, "publishers": list(publishers), "attendees": attendees})
    return feeds


def people(feeds: Feeds) -> dict[str, tuple[str, dict[str, bool]]]:
    """Who is there: name, and tracks with whether they are muted."""
    return {who: (seen.name, seen.tracks) for who, seen in feeds.look().items()}


def test_who_is_there_when_we_join() -> None:
    """Publishers with their audio streams, listeners without any; numbers and texts as ids; not us, no placeholder."""
    feeds = room(
        {"id": 1, "display": "Ana", "streams": [audio(), audio("1", type="video"), audio("2", moderated=True)]},
        {"id": "ben", "streams": [audio(disabled=True)]},
        {"id": 7, "display": "Earshot"},
        {"id": 9, "dummy": True, "streams": [audio()]},
        attendees=[{"id": 3, "display": "Eve"}],
    )
    assert people(feeds) == {"3": ("Eve", {}), "1": ("Ana", {"1/0": False, "1/2": True}), "ben": ("ben", {})}
    found = feeds.stream("1/2")
    assert found is not None
    assert (found[0], found[1], found[2].codec) == (1, "2", "opus")
    assert (feeds.stream("1/9"), feeds.stream("8/0")) == (None, None)


def test_people_come_publish_change_and_go() -> None:
    """Joining, publishing, a new name, moderation, unpublishing, leaving, being kicked out."""
    feeds = room()
    feeds.take(event(joining={"id": 1, "display": "Ana"}))
    assert people(feeds) == {"1": ("Ana", {})}
    feeds.take(event(publishers=[{"id": 1, "display": "Ana", "streams": [audio()]}]))
    feeds.take(event(id=1, display="Dr. Ana"))
    feeds.take(event(id=1, mid="0", moderation="muted"))
    assert people(feeds) == {"1": ("Dr. Ana", {"1/0": True})}
    feeds.take(event(id=1, mid="0", moderation="unmuted"))
    feeds.take(event(id=1, mid="9", moderation="muted"))
    assert people(feeds) == {"1": ("Dr. Ana", {"1/0": False})}
    feeds.take(event(unpublished=1))
    assert people(feeds) == {"1": ("Dr. Ana", {})}
    feeds.take(event(leaving=1))
    feeds.take(event(joining={"id": "ok", "display": "Oleg"}))
    assert feeds.take(event(leaving="ok")) is None
    feeds.take(event(publishers=[{"id": 2, "display": "Ben", "streams": [audio()]}]))
    feeds.take(event(kicked=2))
    assert people(feeds) == {}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"videoroom": "destroyed", "room": 1234}, SubCode.MEETING_ENDED),
        (event(leaving="ok", reason="kicked"), SubCode.REMOVED),
        (event(leaving="ok"), None),
        ({"videoroom": "talking", "id": 1}, None),
        ({}, None),
    ],
)
def test_why_we_are_not_in_the_room_any_more(data: dict[str, Any], code: SubCode | None) -> None:
    """Destroyed is the end of the meeting, kicked is removed; whatever else comes is neither."""
    assert room().take(data) is code


KEYS = (
    *("videoroom", "id", "display", "streams", "publishers", "attendees", "joining", "leaving", "unpublished"),
    *("kicked", "type", "mid", "codec", "moderated", "disabled", "moderation", "dummy", "reason"),
)
WORDS = ("event", "audio", "0", "ok", "muted", "1", 1, True)


def test_garbage_ends_nothing() -> None:
    """Many messages of any shape: none raises, and whoever is there has a name and tracks that can be asked for."""
    feeds = Feeds(7)
    for number, data in enumerate(garbage(MALFORMED, KEYS, WORDS)):
        if number % 5 == 0:
            feeds.joined(data)
        feeds.take(data)
        feeds.take({**data, "videoroom": "event"})
        for who, seen in feeds.look().items():
            assert seen.name
            assert who
            assert all(feeds.stream(track) is not None for track in seen.tracks)


def test_somebody_called_none() -> None:
    """Where ids are texts: what an event does not say is not about them."""
    feeds = Feeds("us")
    stream = {"type": "audio", "mid": "0", "codec": "opus"}
    feeds.joined({"publishers": [{"id": "None", "display": "Nina One", "streams": [stream]}]})
    feeds.take({"videoroom": "event", "configured": "ok", "display": "Somebody else"})
    assert feeds.look()["None"].name == "Nina One"
    assert feeds.look()["None"].tracks == {"None/0": False}
