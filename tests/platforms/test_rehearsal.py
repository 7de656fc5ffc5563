"""The rehearsal platform against its room, over real WebRTC on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np

from bot.platforms.base import Invitation
from rehearsal.clips import CLIP_RATE, Clip
from rehearsal.script import Action, Lobby, Participant, Script
from rehearsal.webrtc import room as rehearsal
from tests.platforms.contract import PlatformContract, Room


def invited(url: str, connection_id: str = "bot-1") -> Invitation:
    """An invitation to a room."""
    return Invitation(url, connection_id, "Earshot")


def sine(hertz: float, seconds: float = 60.0) -> Clip:
    """A long tone; 0 Hz: digital zeros."""
    pcm = (8000 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * CLIP_RATE)) / CLIP_RATE)).astype(np.int16)
    return Clip(pcm, None, (0, pcm.size))


class DirectedRoom:
    """A rehearsal room whose timeline is the test."""

    def __init__(self, room: rehearsal.Room) -> None:
        self.room = room

    def invitation(self) -> Invitation:
        """Joins the room as bot-1."""
        return invited(self.room.url)

    async def join(self, who: str, name: str, *, publishes: bool = True) -> None:
        """Somebody who is not in the script joins."""
        self.room.enter(Participant(id=who, name=name), publishes)

    async def tone(self, who: str, hertz: float) -> None:
        """A clip of 60 s takes the place of the former."""
        self.room.speak(who, sine(hertz))

    async def mute(self, who: str) -> None:
        """The script's action."""
        self.room.perform(Action(at=0, do="mute", who=who))

    async def unmute(self, who: str) -> None:
        """The script's action."""
        self.room.perform(Action(at=0, do="unmute", who=who))

    async def rename(self, who: str, name: str) -> None:
        """The script's action."""
        self.room.perform(Action(at=0, do="rename", who=who, name=name))

    async def leave(self, who: str) -> None:
        """The script's action."""
        self.room.perform(Action(at=0, do="leave", who=who))

    async def admit(self) -> None:
        """Whoever waits is let in."""
        self.room.open_lobby.set()

    async def cut(self, seconds: float) -> None:
        """The script's action."""
        self.room.perform(Action.model_validate({"at": 0.0, "do": "cut", "for": seconds}))

    async def remove_bot(self) -> None:
        """The script's action."""
        self.room.perform(Action(at=0, do="remove"))

    async def end(self) -> None:
        """The script's action."""
        self.room.perform(Action(at=0, do="end"))


class TestRehearsal(PlatformContract):
    """The contract suite."""

    platform = "rehearsal"
    has_lobby = True

    @asynccontextmanager
    async def room(self, lobby: bool = False) -> AsyncIterator[Room]:
        """A room without a script."""
        script = Script((), (), Lobby(then="ignore") if lobby else None)
        async with rehearsal.serve(script, {}) as room:
            yield DirectedRoom(room)

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[Invitation]:
        """A lobby that refuses."""
        async with rehearsal.serve(Script((), (), Lobby(delay=0.2, then="refuse")), {}) as room:
            yield invited(room.url)

    def unreachable(self) -> tuple[Invitation, str]:
        """Nothing listens on port 1."""
        return invited("rehearsal+ws://127.0.0.1:1"), "127.0.0.1:1"
