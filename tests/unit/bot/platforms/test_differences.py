"""Differences between two looks at a room."""

from __future__ import annotations

from bot.core import events as ev
from bot.core.events import ParticipantKind, TrackKind
from bot.platforms.differences import Seen, differences

PERSON = ParticipantKind.PERSON


def test_what_has_come_gone_and_changed_is_said_departures_first() -> None:
    """Tracks close before their owner leaves; who comes is there before their tracks; a mute follows its track."""
    before = {
        "ana": Seen("Ana", PERSON, {"a1": False, "a2": True}),
        "ben": Seen("Ben", PERSON, {"b1": False}),
        "eve": Seen("Eve", PERSON),
    }
    after = {
        "ana": Seen("Dr. Ana", PERSON, {"a2": False}),
        "eve": Seen("Eve", PERSON),
        "zoe": Seen("Zoe", PERSON, {"z1": True, "z2": False}, frozenset({"z1"}), frozenset({"z2"})),
    }
    assert differences(before, after) == [
        *(ev.TrackClosed("a1"), ev.TrackClosed("b1"), ev.ParticipantLeft("ben")),
        *(ev.ParticipantRenamed("ana", "Dr. Ana"), ev.TrackUnmuted("a2")),
        *(ev.ParticipantJoined("zoe", "Zoe"), ev.TrackOpened("z1", "zoe"), ev.TrackEncrypted("z1")),
        *(ev.TrackMuted("z1"), ev.TrackOpened("z2", "zoe", TrackKind.SCREEN)),
    ]
    assert differences(after, after) == []


def test_who_turns_out_to_be_no_person_is_said_to_be_none() -> None:
    """What somebody is may be known later than that they are there: they must not keep the bot company for ever."""
    before = {"eve": Seen("Eve", PERSON, {"e1": False})}
    after = {"eve": Seen("Eve", ParticipantKind.SERVICE)}
    assert differences(before, after) == [
        ev.TrackClosed("e1"),
        ev.ParticipantJoined("eve", "Eve", ParticipantKind.SERVICE),
    ]
