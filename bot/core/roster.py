"""The roster: who is in the meeting, under which name, and whose track is whose."""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from bot.core.events import ParticipantKind, TrackKind

MAX_NAME_CHARACTERS = 128  # characters; a longer display name is cut
MAX_NAMES = 10_000
"""Names that are remembered, of those who have left too. Policy when full: the one that was heard of first goes."""


def one_line(text: str, most: int) -> str:
    """A stranger's text fit for JSON and terminals: one line in NFC, no control or bidi characters, at most so many.

    Joiners inside emoji and scripts that need them (U+200C, U+200D) stay.
    """
    kept = [
        " " if character.isspace() else character
        for character in text[: most * 8]
        if character.isspace() or character in "\u200c\u200d" or unicodedata.category(character)[0] != "C"
    ]
    return unicodedata.normalize("NFC", " ".join("".join(kept).split()))[:most].strip()


def clean_name(name: str) -> str:
    """A display name as `one_line`, at most 128 characters."""
    return one_line(name, MAX_NAME_CHARACTERS)


@dataclass(frozen=True, slots=True)
class Participant:
    """One participant as known now."""

    participant_id: str
    name: str
    """Cleaned display name; empty when the platform gives none."""
    kind: ParticipantKind


class Roster:
    """Participants and the owners of tracks.

    A track may be opened before its participant is announced, and names may change: both are looked up when needed.

    Args:
        bot_names: Patterns of whole display names, whatever their case; `*` and `?` stand for any characters, one
            character. Who has such a name speaks as everybody does, and keeps nobody in the meeting.
    """

    def __init__(self, bot_names: Iterable[str] = ()) -> None:
        # fnmatch takes linear time for many `*`; its brackets would be a surprise in names such as "[bot] Ana"
        patterns = [fnmatch.translate(name.replace("[", "[[]")) for name in bot_names]
        self._is_bot = re.compile("|".join(patterns) or r"\Z.", re.IGNORECASE)
        self._participants: dict[str, Participant] = {}
        self._owner: dict[str, str | None] = {}
        self._screens: dict[str, str] = {}  # tracks of shared screens, closed ones too: whose
        self._names: dict[str, str] = {}  # of everyone ever seen: late text still gets its name

    def join(self, participant_id: str, name: str, kind: ParticipantKind) -> None:
        """Adds or updates a participant."""
        self._participants[participant_id] = Participant(participant_id, clean_name(name), kind)
        self._names.pop(participant_id, None)
        self._names[participant_id] = clean_name(name)
        if len(self._names) > MAX_NAMES:
            del self._names[next(iter(self._names))]

    def rename(self, participant_id: str, name: str) -> None:
        """Changes the display name; the identity stays. An unknown participant is ignored."""
        if participant := self._participants.get(participant_id):
            self.join(participant_id, name, participant.kind)

    def leave(self, participant_id: str) -> None:
        """Removes a participant; tracks are closed by their own events."""
        self._participants.pop(participant_id, None)

    def open_track(self, track_id: str, participant_id: str | None, kind: TrackKind = TrackKind.VOICE) -> None:
        """Remembers whose track it is; None: a mix."""
        self._owner[track_id] = participant_id
        self._screens.pop(track_id, None)
        if kind is TrackKind.SCREEN and participant_id is not None:
            self._screens[track_id] = participant_id
            if len(self._screens) > MAX_NAMES:
                del self._screens[next(iter(self._screens))]

    def close_track(self, track_id: str) -> None:
        """Forgets the track."""
        self._owner.pop(track_id, None)

    def clear(self) -> None:
        """Forgets who is here (after a rejoin the platform tells again); names stay known."""
        self._participants.clear()
        self._owner.clear()

    def is_mix(self, track_id: str) -> bool:
        """An open track that belongs to nobody in particular."""
        return track_id in self._owner and self._owner[track_id] is None

    def speaks_for(self, track_id: str) -> tuple[str, str] | None:
        """Identity and name that an open track's speech is published under; None: it does not count.

        Of a mix: the track's id, and no name; of a shared screen: the same, and a name that says so.
        An unannounced owner is taken for a person.
        """
        if self.is_mix(track_id):
            return track_id, ""
        owner = self._owner.get(track_id)
        if owner is None or not self.is_person(owner):
            return None
        speaker = track_id if track_id in self._screens else owner
        return speaker, self.name(speaker)

    def tracks_of(self, speaker_id: str) -> list[str]:
        """The open tracks on which a speaker, as published, may have been heard: their own, else every mix."""
        own = [
            track_id
            for track_id, owner in self._owner.items()
            if speaker_id == (track_id if owner is None or track_id in self._screens else owner)
        ]
        return own or [track_id for track_id, owner in self._owner.items() if owner is None]

    def owned_by(self, participant_id: str) -> list[str]:
        """The open tracks of a participant, shared screens too."""
        return [track_id for track_id, owner in self._owner.items() if owner == participant_id]

    def name(self, participant_id: str) -> str:
        """The name to publish: the display name, or the identity where there is none; of a shared screen, whose."""
        if owner := self._screens.get(participant_id):
            return f"{self.name(owner)} (screen)"
        return self._names.get(participant_id) or clean_name(participant_id)

    def is_person(self, participant_id: str) -> bool:
        """Whether this is somebody whose speech counts. An unannounced owner of a track is taken for a person."""
        participant = self._participants.get(participant_id)
        return participant is None or participant.kind is ParticipantKind.PERSON

    @property
    def people(self) -> int:
        """How many people are here, bots among them, us not counted."""
        return sum(participant.kind is ParticipantKind.PERSON for participant in self._participants.values())

    @property
    def bots(self) -> int:
        """How many of them have the name of a bot."""
        return sum(
            participant.kind is ParticipantKind.PERSON and self._is_bot.match(participant.name) is not None
            for participant in self._participants.values()
        )

    @property
    def tracks(self) -> tuple[str, ...]:
        """The open tracks."""
        return tuple(self._owner)
