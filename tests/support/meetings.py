"""Meetings whose people say numbered utterances: a rehearsal room in this process, or one of a real livekit-server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol
from uuid import uuid4

from rehearsal.livekit.guest import Guest
from rehearsal.livekit.server import LiveKitServer, as_host
from rehearsal.pages.room import Look, PageRoom
from rehearsal.script import Action, Participant, Script
from rehearsal.webrtc import room as rehearsal
from tests.support.numbered import clip
from tests.support.waiting import eventually

PATIENCE_S = 60.0
"""For an utterance to go out, on a machine that is busy with other things."""


class Meeting(Protocol):
    """Who is there, and what they can do."""

    people: Mapping[str, str]
    """Identity → name, as it is stored."""
    settings: dict[str, Any]
    """How a bot joins."""
    is_mute_between_words: bool
    """No packets come of a microphone into which nobody speaks."""

    async def say(self, who: str, number: int) -> float:
        """An utterance, until it has gone out. Returns seconds in it for which there was nothing to send."""

    async def end(self) -> None:
        """For everybody."""

    async def bots(self) -> int:
        """How many are there."""


class RehearsalMeeting:
    """In a room that follows no script."""

    is_mute_between_words = False

    def __init__(self, room: rehearsal.Room, people: Mapping[str, str]) -> None:
        self.people = people
        self.room = room
        self.settings: dict[str, Any] = {"platform": "rehearsal", "meetingUrl": room.url}

    async def say(self, who: str, number: int) -> float:
        before = self._sent(who)
        self.room.speak(who, clip(number))
        await eventually(lambda: self._sent(who) > before, PATIENCE_S)
        assert [row for row in self.room.truth if row.participant == who][-1].complete, "the room lost it"
        return 0.0  # what it sends late has the times that it should have

    def _sent(self, who: str) -> int:
        return sum(row.participant == who for row in self.room.truth)

    async def end(self) -> None:
        self.room.perform(Action(at=0, do="end"))

    async def bots(self) -> int:
        return len(self.room._peers)


@asynccontextmanager
async def rehearsal_meeting(
    people: Mapping[str, str], host: str = "127.0.0.1", names: Mapping[str, str] | None = None
) -> AsyncIterator[RehearsalMeeting]:
    """Everybody is there, microphones open; `names`: what they call themselves, if that is not what is stored."""
    async with rehearsal.serve(Script((), ()), {}, host) as room:
        for who in people:
            # past the script's model, which would refuse what a stranger may well be called
            room.enter(Participant.model_construct(id=who, name=(names or people)[who]), publishes=True)
        yield RehearsalMeeting(room, people)


@asynccontextmanager
async def page_meeting(
    people: Mapping[str, str], browser: dict[str, Any], host: str = "127.0.0.1"
) -> AsyncIterator[RehearsalMeeting]:
    """The same behind an imitation of Jitsi's page, which is joined in a Chromium as `browser` says."""
    made = PageRoom(Script((), ()), {}, look=Look("jitsi"))
    async with rehearsal.listening(made, host) as room:
        for who, name in people.items():
            room.enter(Participant(id=who, name=name), publishes=True)
        meeting = RehearsalMeeting(room, people)
        meeting.settings = {
            "platform": "jitsi",
            "meetingUrl": "https://meet.jit.si/EarshotRehearsal",
            "jitsi": {"origin": room.origin},
            "browser": browser,
        }
        yield meeting


class LiveKitMeeting:
    """In a room of a real server."""

    is_mute_between_words = True

    def __init__(self, server: LiveKitServer, people: Mapping[str, str]) -> None:
        self.people = people
        self._server, self._room = server, f"room-{uuid4().hex[:8]}"
        self._guests = {who: Guest(who, name) for who, name in people.items()}
        mint = {"room": self._room, "apiKey": server.api_key, "apiSecret": server.api_secret}
        self.settings: dict[str, Any] = {"platform": "livekit", "meetingUrl": server.url, "livekit": mint}

    async def say(self, who: str, number: int) -> float:
        await self._guests[who].speak(clip(number).pcm)
        return self._guests[who].hole

    async def end(self) -> None:
        await as_host(self._server, "DeleteRoom", room=self._room)

    async def bots(self) -> int:
        there = (await as_host(self._server, "ListParticipants", room=self._room))["participants"]
        return sum(person["identity"] not in self.people for person in there)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[LiveKitMeeting]:
        """Everybody is there, microphones open."""
        for guest in self._guests.values():
            await guest.join(self._server, self._room)
            await guest.publish()
        try:
            yield self
        finally:
            for guest in self._guests.values():
                await guest.leave()
            # where the server ended the room, the SDK still hears of it when it has let us go
            await eventually(lambda: not any("Room._listen_task" in repr(task) for task in asyncio.all_tasks()))
