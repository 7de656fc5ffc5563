"""View of a LiveKit room: who in it is a person, which of their tracks is to be heard, and which is closed to us."""

from __future__ import annotations

from dataclasses import dataclass

from livekit import rtc

from bot.core.events import ParticipantKind
from bot.platforms.differences import Seen

_PEOPLE = {
    rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD,
    rtc.ParticipantKind.PARTICIPANT_KIND_SIP,
    rtc.ParticipantKind.PARTICIPANT_KIND_CONNECTOR,
}


def participant_kind(kind: int, hidden: bool) -> ParticipantKind:
    """People are standard participants and callers (SIP, connectors); whoever is hidden is none."""
    return ParticipantKind.PERSON if kind in _PEOPLE and not hidden else ParticipantKind.SERVICE


def is_encrypted(publication: rtc.RemoteTrackPublication) -> bool:
    """From end to end, whether we have its key or not."""
    return publication.encryption_type != rtc.EncryptionType.NONE


def _is_screen(publication: rtc.RemoteTrackPublication) -> bool:
    return publication.source == rtc.TrackSource.SOURCE_SCREENSHARE_AUDIO


@dataclass(frozen=True, slots=True)
class View:
    """What is looked for.

    Args:
        has_key: To decrypt with. Without it the SDK would decode noise.
        hears_screens: The sound of shared screens, too.
    """

    has_key: bool
    hears_screens: bool

    def audible(self, person: rtc.RemoteParticipant) -> list[rtc.RemoteTrackPublication]:
        """Somebody's tracks that are to be heard."""
        if participant_kind(person.kind, person.permissions.hidden) is not ParticipantKind.PERSON:
            return []
        return [
            one
            for one in person.track_publications.values()
            if one.kind == rtc.TrackKind.KIND_AUDIO and (self.hears_screens or not _is_screen(one))
        ]

    def is_closed(self, publication: rtc.RemoteTrackPublication) -> bool:
        """It cannot be heard."""
        return not self.has_key and is_encrypted(publication)

    def seen(self, person: rtc.RemoteParticipant) -> Seen:
        """Somebody as they are shown now."""
        heard = self.audible(person)
        closed = frozenset(one.sid for one in heard if self.is_closed(one))
        screens = frozenset(one.sid for one in heard if _is_screen(one))
        kind = participant_kind(person.kind, person.permissions.hidden)
        return Seen(person.name or person.identity, kind, {one.sid: one.muted for one in heard}, closed, screens)
