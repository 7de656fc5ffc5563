"""Peers of a mediasoup room: what the application says, and what it never should."""

from __future__ import annotations

import pytest

from bot.core.events import ParticipantKind
from bot.platforms.mediasoup.peers import Peers
from common.contracts.status import SubCode
from tests.support.examples import MALFORMED
from tests.support.garbage import garbage


def people(peers: Peers) -> dict[str, tuple[str, dict[str, bool]]]:
    """Who is there: name, and tracks with whether they are muted."""
    return {who: (seen.name, seen.tracks) for who, seen in peers.look().items()}


def test_who_is_there_when_we_join() -> None:
    """People with their audio producers; services have none for us; not us."""
    producers = [{"producerId": "p", "kind": "audio", "paused": True}, {"producerId": "v", "kind": "video"}]
    peers = Peers("bot")
    peers.joined(
        [
            {"peerId": "ana", "name": "Ana", "producers": producers},
            {"peerId": "other-bot", "service": True, "producers": producers},
            {"peerId": "bot", "name": "Earshot"},
            *({}, "nobody", {"peerId": 4}),
        ]
    )
    assert people(peers) == {"ana": ("Ana", {"p": True}), "other-bot": ("other-bot", {})}
    assert peers.look()["other-bot"].kind is ParticipantKind.SERVICE
    peers.joined(None)
    assert people(peers) == {}


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ([], {"ana": ("Ana", {"p": True})}),  # the list is older than the news
        (  # it is newer: it has all of it, and more
            [{"peerId": "ana", "name": "Dr. Ana", "producers": [{"producerId": "p", "kind": "audio", "paused": True}]}],
            {"ana": ("Dr. Ana", {"p": True})},
        ),
        (  # and from in between: ben and a producer of eve's have gone since
            [
                {"peerId": "ana", "name": "Ana", "producers": [{"producerId": "q", "kind": "audio"}]},
                {"peerId": "ben", "name": "Ben"},
                {"peerId": "eve", "name": "Eve", "producers": [{"producerId": "e", "kind": "audio"}]},
            ],
            {"ana": ("Ana", {"q": False, "p": True}), "eve": ("Eve", {})},
        ),
    ],
)
def test_news_before_the_answer_is_kept(listed: object, expected: object) -> None:
    """An application may tell us of the room before it has answered, of what its answer does not know."""
    peers = Peers("bot")
    peers.take("peerJoined", {"peerId": "ana", "name": "Ana", "producers": []})
    peers.take("newProducer", {"peerId": "ana", "producerId": "p", "kind": "audio"})
    peers.take("producerPaused", {"peerId": "ana", "producerId": "p"})
    peers.take("peerLeft", {"peerId": "ben"})
    peers.take("producerClosed", {"peerId": "eve", "producerId": "e"})
    peers.joined(listed)
    assert people(peers) == expected
    peers.take("peerLeft", {"peerId": "ana"})  # from now on, once
    peers.joined(None)
    assert people(peers) == {}


def test_people_come_produce_change_and_go() -> None:
    """Joining, producing, pausing, a new name, closing, leaving."""
    peers = Peers("bot")
    peers.take("peerJoined", {"peerId": "ana", "name": "Ana", "producers": []})
    peers.take("newProducer", {"peerId": "ana", "producerId": "p", "kind": "audio"})
    peers.take("newProducer", {"peerId": "ana", "producerId": "v", "kind": "video"})
    peers.take("newProducer", {"peerId": "nobody", "producerId": "x", "kind": "audio"})
    peers.take("producerPaused", {"peerId": "ana", "producerId": "p"})
    peers.take("producerPaused", {"peerId": "ana", "producerId": "v"})
    peers.take("peerRenamed", {"peerId": "ana", "name": "Dr. Ana"})
    assert people(peers) == {"ana": ("Dr. Ana", {"p": True})}
    peers.take("producerResumed", {"peerId": "ana", "producerId": "p"})
    assert people(peers) == {"ana": ("Dr. Ana", {"p": False})}
    peers.take("producerClosed", {"peerId": "ana", "producerId": "p"})
    peers.take("peerRenamed", {"peerId": "ana", "name": ""})
    assert people(peers) == {"ana": ("Dr. Ana", {})}
    peers.take("peerLeft", {"peerId": "ana"})
    assert people(peers) == {}


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("kicked", SubCode.REMOVED),
        ("roomClosed", SubCode.MEETING_ENDED),
        ("replaced", SubCode.DUPLICATE_IDENTITY),
        ("egress", None),
        (None, None),
    ],
)
def test_why_we_are_not_in_the_room_any_more(kind: object, code: SubCode | None) -> None:
    """Each end has its sub-code; whatever else comes is none."""
    assert Peers("bot").take(kind, None) is code
    assert Peers("bot").take(kind, {}) is code


KEYS = ("peerId", "name", "producers", "producerId", "kind", "paused", "service", "type", "data")
WORDS = ("ana", "bot", "audio", "p", "peerJoined", "peerLeft", "peerRenamed", "newProducer", "producerPaused", True)


def test_garbage_ends_nothing() -> None:
    """Many messages of any shape: none raises, and whoever is there has a name."""
    peers, unanswered = Peers("bot"), Peers("bot")
    for number, message in enumerate(garbage(MALFORMED, KEYS, WORDS)):
        if number % 5 == 0:
            peers.joined(message.get("producers"))
        assert peers.take(message.get("type"), message.get("data")) is None
        assert peers.take("peerJoined", message) is None
        assert peers.take("newProducer", message) is None
        assert unanswered.take(("peerJoined", "newProducer")[number % 2], message) is None
        assert all(who and seen.name for who, seen in peers.look().items())
    unanswered.joined([])
