"""What of a LiveKit room is to be heard: the SDK's objects are fakes, with the fields that are read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from livekit.rtc import EncryptionType, TrackKind, TrackSource
from livekit.rtc import ParticipantKind as LiveKitKind

from bot.core.events import ParticipantKind
from bot.platforms.differences import Seen
from bot.platforms.livekit.view import View, participant_kind

PERSON, SERVICE = ParticipantKind.PERSON, ParticipantKind.SERVICE


@pytest.mark.parametrize(
    ("kind", "hidden", "expected"),
    [
        (LiveKitKind.PARTICIPANT_KIND_STANDARD, False, PERSON),
        (LiveKitKind.PARTICIPANT_KIND_SIP, False, PERSON),
        (LiveKitKind.PARTICIPANT_KIND_CONNECTOR, False, PERSON),
        (LiveKitKind.PARTICIPANT_KIND_STANDARD, True, SERVICE),
        (LiveKitKind.PARTICIPANT_KIND_AGENT, False, SERVICE),
        (LiveKitKind.PARTICIPANT_KIND_EGRESS, False, SERVICE),
        (LiveKitKind.PARTICIPANT_KIND_INGRESS, False, SERVICE),
        (LiveKitKind.PARTICIPANT_KIND_BRIDGE, False, SERVICE),
        (99, False, SERVICE),
    ],
)
def test_who_is_a_person(kind: int, hidden: bool, expected: ParticipantKind) -> None:
    """People and callers are; services, the hidden and kinds yet unknown are not."""
    assert participant_kind(kind, hidden) is expected


def published(sid: str, **changes: Any) -> Any:
    """A microphone's track."""
    usual = {
        "sid": sid, "kind": TrackKind.KIND_AUDIO, "source": TrackSource.SOURCE_MICROPHONE, "muted": False,
        "encryption_type": EncryptionType.NONE,
    }  # fmt: skip
    return SimpleNamespace(**(usual | changes))


def person(*tracks: Any, **changes: Any) -> Any:
    """Somebody who publishes these."""
    usual = {
        "identity": "ana", "name": "Ana", "kind": LiveKitKind.PARTICIPANT_KIND_STANDARD,
        "permissions": SimpleNamespace(hidden=False), "track_publications": {one.sid: one for one in tracks},
    }  # fmt: skip
    return SimpleNamespace(**(usual | changes))


def test_what_is_to_be_heard_of_somebody() -> None:
    """Audio of people: shared screens if they are asked for, and of services nothing."""
    screen = published("s", source=TrackSource.SOURCE_SCREENSHARE_AUDIO, muted=True)
    secret = published("x", encryption_type=EncryptionType.GCM)
    ana = person(published("m"), published("v", kind=TrackKind.KIND_VIDEO), screen, secret)
    everything = View(has_key=False, hears_screens=True)
    tracks = {"m": False, "s": True, "x": False}
    assert everything.seen(ana) == Seen("Ana", PERSON, tracks, frozenset({"x"}), frozenset({"s"}))
    assert View(has_key=True, hears_screens=False).seen(ana) == Seen("Ana", PERSON, {"m": False, "x": False})
    agent = person(published("m"), kind=LiveKitKind.PARTICIPANT_KIND_AGENT, name="")
    assert everything.seen(agent) == Seen("ana", SERVICE)
    assert everything.audible(agent) == []
