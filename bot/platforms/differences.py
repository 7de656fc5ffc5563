"""Differences between two looks at a room, as events: for platforms whose library shows a state, not its changes."""

from __future__ import annotations

from dataclasses import dataclass, field

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


@dataclass(frozen=True, slots=True)
class Seen:
    """A participant as last looked at."""

    name: str
    kind: ParticipantKind
    tracks: dict[str, bool] = field(default_factory=dict)
    """Published audio tracks, subscribed to or not yet: track id → muted."""
    encrypted: frozenset[str] = frozenset()
    """Those of them that are encrypted, and we have no key."""
    screens: frozenset[str] = frozenset()
    """Those of them that are the sound of a shared screen."""


def differences(before: dict[str, Seen], after: dict[str, Seen]) -> list[PlatformEvent]:
    """The events that lead from one look at the room to the next: departures first."""
    events: list[PlatformEvent] = []
    for identity, was in before.items():
        now = after.get(identity)
        events += [TrackClosed(track) for track in was.tracks if now is None or track not in now.tracks]
        if now is None:
            events.append(ParticipantLeft(identity))
    for identity, now in after.items():
        known = before.get(identity)
        if known is None or known.kind is not now.kind:
            events.append(ParticipantJoined(identity, now.name, now.kind))
        elif known.name != now.name:
            events.append(ParticipantRenamed(identity, now.name))
        tracks = known.tracks if known else {}
        for track, muted in now.tracks.items():
            if track not in tracks:
                events.append(
                    TrackOpened(track, identity, TrackKind.SCREEN if track in now.screens else TrackKind.VOICE)
                )
                events += [TrackEncrypted(track)] if track in now.encrypted else []
            if muted != tracks.get(track, False):
                events.append(TrackMuted(track) if muted else TrackUnmuted(track))
    return events
