"""Feeds of a Janus video room: who is there and what they publish, from what the plugin `janus.plugin.videoroom` says.

Its messages are those of Janus 1.x. What is not as they should be is left out: a server that says nonsense about one
person is still heard about the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeGuard

from bot.core.events import ParticipantKind
from bot.platforms.differences import Seen
from common.contracts.status import SubCode

FeedId = int | str
"""As Janus gave it: numbers, or texts where the server says `string_ids`."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One published audio stream."""

    codec: str
    moderated: bool
    """A moderator silences it: the server drops its packets."""


@dataclass(slots=True)
class _Person:
    feed: FeedId
    name: str
    streams: dict[str, Stream] = field(default_factory=dict)  # by mid


class Feeds:
    """What we know of one room.

    Args:
        own: Our id there.
    """

    def __init__(self, own: object) -> None:
        self._own = own
        self._people: dict[str, _Person] = {}

    def look(self) -> dict[str, Seen]:
        """Everybody but us, with their audio streams as tracks `feed/mid`."""
        return {
            who: Seen(
                person.name,
                ParticipantKind.PERSON,
                {f"{who}/{mid}": stream.moderated for mid, stream in person.streams.items()},
            )
            for who, person in self._people.items()
        }

    def stream(self, track_id: str) -> tuple[FeedId, str, Stream] | None:
        """Feed, mid and stream of a track; None: it is not there."""
        who, _, mid = track_id.rpartition("/")
        person = self._people.get(who)
        return (person.feed, mid, person.streams[mid]) if person is not None and mid in person.streams else None

    def joined(self, data: dict[str, Any]) -> None:
        """Takes the answer to our `join`: everybody who is there (listeners where the room says `notify_joining`)."""
        self._people.clear()
        for person in (*_objects(data.get("attendees")), *_objects(data.get("publishers"))):
            self._publish(person)

    def take(self, data: dict[str, Any]) -> SubCode | None:
        """Takes what the room says later; returns why we are not in it any more."""
        if data.get("videoroom") == "destroyed":
            return SubCode.MEETING_ENDED
        if data.get("videoroom") != "event":
            return None
        leaving = data.get("leaving")
        if leaving == "ok" and "ok" not in self._people:  # ours; somebody may be called so, where ids are texts
            return SubCode.REMOVED if data.get("reason") == "kicked" else None
        for gone in (leaving, data.get("kicked")):
            self._people.pop(_known_as(gone), None)
        if (unpublished := self._people.get(_known_as(data.get("unpublished")))) is not None:
            unpublished.streams = {}
        if isinstance(data.get("joining"), dict):
            self._join(data["joining"])
        for publisher in _objects(data.get("publishers")):
            self._publish(publisher)
        self._change(data)
        return None

    def _join(self, said: dict[str, Any]) -> _Person | None:
        """Somebody who is there, known or not; None: it is us, nobody, or a placeholder of the server's."""
        feed, name = said.get("id"), said.get("display")
        if not _is_id(feed) or feed == self._own or said.get("dummy") is True:
            return None
        person = self._people.setdefault(str(feed), _Person(feed, str(feed)))
        if isinstance(name, str) and name:
            person.name = name
        return person

    def _publish(self, said: dict[str, Any]) -> None:
        """Somebody who is there, and all that they publish: it takes the place of what was known."""
        person = self._join(said)
        if person is not None:
            person.streams = {
                stream["mid"]: Stream(str(stream.get("codec", "opus")), stream.get("moderated") is True)
                for stream in _objects(said.get("streams"))
                if stream.get("type") == "audio"
                and isinstance(stream.get("mid"), str)
                and stream.get("disabled") is not True
            }

    def _change(self, data: dict[str, Any]) -> None:
        """A new name, or a stream that is moderated from now on, or not any more."""
        person = self._people.get(_known_as(data.get("id")))
        if person is None:
            return
        name, mid, moderation = data.get("display"), data.get("mid"), data.get("moderation")
        if isinstance(name, str) and name:
            person.name = name
        if isinstance(mid, str) and mid in person.streams and moderation in ("muted", "unmuted"):
            person.streams[mid] = Stream(person.streams[mid].codec, moderation == "muted")


def _is_id(value: object) -> TypeGuard[FeedId]:
    return isinstance(value, int | str) and not isinstance(value, bool) and value != ""


def _known_as(value: object) -> str:
    """An id as a key; empty, which nobody's is, where it is none: somebody may be called `None`."""
    return str(value) if _is_id(value) else ""


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
