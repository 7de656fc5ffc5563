"""What the LiveKit platform, once in a room, decides without a server."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.events import (
    ParticipantJoined,
    ParticipantKind,
    ParticipantLeft,
    ParticipantRenamed,
    PlatformEvent,
    TrackClosed,
    TrackEncrypted,
    TrackKind,
    TrackMuted,
    TrackOpened,
    TrackUnmuted,
)
from bot.platforms.differences import Seen, differences
from bot.platforms.livekit import joining

PERSON, SERVICE = ParticipantKind.PERSON, ParticipantKind.SERVICE


def test_differences_in_order() -> None:
    """Departures come before arrivals, a track's end before its owner's, a name before the tracks."""
    before = {"ana": Seen("Ana", PERSON, {"a1": False, "a2": True}), "ben": Seen("Ben", PERSON, {"b": False})}
    after = {
        "ana": Seen("Dr. Ana", PERSON, {"a2": False, "a3": True}),
        "egress": Seen("egress", SERVICE),
        "eve": Seen("Eve", PERSON, {"e": True, "s": False}, frozenset({"e"}), frozenset({"s"})),
    }
    assert differences(before, after) == [
        TrackClosed("a1"),
        TrackClosed("b"),
        ParticipantLeft("ben"),
        ParticipantRenamed("ana", "Dr. Ana"),
        TrackUnmuted("a2"),
        TrackOpened("a3", "ana"),
        TrackMuted("a3"),
        ParticipantJoined("egress", "egress", SERVICE),
        ParticipantJoined("eve", "Eve", PERSON),
        TrackOpened("e", "eve"),
        TrackEncrypted("e"),
        TrackMuted("e"),
        TrackOpened("s", "eve", TrackKind.SCREEN),
    ]


_rooms = st.dictionaries(
    st.sampled_from("abc"),
    st.builds(Seen, st.sampled_from("XY"), st.just(PERSON), st.dictionaries(st.sampled_from("123"), st.booleans())),
).map(
    lambda room: {
        who: Seen(one.name, one.kind, {who + t: m for t, m in one.tracks.items()}) for who, one in room.items()
    }
)


def _apply(room: dict[str, Seen], events: list[PlatformEvent]) -> dict[str, Seen]:
    """The room as somebody pictures it who hears the events alone; the closing and opening of tracks is checked."""
    names = {who: seen.name for who, seen in room.items()}
    tracks = {track: (who, muted) for who, seen in room.items() for track, muted in seen.tracks.items()}
    for event in events:
        match event:
            case ParticipantJoined(who, name) | ParticipantRenamed(who, name):
                names[who] = name
            case ParticipantLeft(who):
                assert who not in {owner for owner, _ in tracks.values()}
                del names[who]
            case TrackOpened(track, who, TrackKind.VOICE):
                assert who in names
                tracks[track] = who, False
            case TrackClosed(track):
                del tracks[track]
            case TrackMuted(track):
                tracks[track] = tracks[track][0], True
            case TrackUnmuted(track):
                tracks[track] = tracks[track][0], False
            case other:
                raise AssertionError(other)
    owned = {who: {t: muted for t, (owner, muted) in tracks.items() if owner == who} for who in names}
    return {who: Seen(name, PERSON, owned[who]) for who, name in names.items()}


@given(_rooms, _rooms)
def test_differences_lead_there(before: dict[str, Seen], after: dict[str, Seen]) -> None:
    """Whoever applies the differences to the earlier room pictures the later one; equal rooms have none."""
    assert _apply(before, differences(before, after)) == after
    assert differences(after, after) == []


def test_sdk_logs_carry_no_token(caplog: pytest.LogCaptureFixture) -> None:
    """The SDK repeats refusals that quote the token; our log does not."""
    assert joining.__name__  # whose import sees to it
    logging.getLogger("livekit").warning(
        "%s: invalid token: eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJrIn0.c2lnbmF0dXJl", "signal"
    )
    assert caplog.messages == ["signal: invalid token: ***"]
