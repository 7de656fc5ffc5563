"""The rehearsal platform against its room, over real WebRTC on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bot.platforms.base import Invitation
from rehearsal.script import Lobby, Script
from rehearsal.webrtc import room as rehearsal
from tests.platforms.contract import PlatformContract, Room
from tests.support.servers.directed import DirectedRoom


def invited(url: str, connection_id: str = "bot-1") -> Invitation:
    """An invitation to a room."""
    return Invitation(url, connection_id, "Earshot")


class RehearsalRoom(DirectedRoom[rehearsal.Room]):
    """Entered as bots enter it."""

    def invitation(self) -> Invitation:
        """Joins the room as bot-1."""
        return invited(self.room.url)


class TestRehearsal(PlatformContract):
    """The contract suite."""

    platform = "rehearsal"
    has_lobby = True

    @asynccontextmanager
    async def room(self, lobby: bool = False) -> AsyncIterator[Room]:
        """A room without a script."""
        script = Script((), (), Lobby(then="ignore") if lobby else None)
        async with rehearsal.serve(script, {}) as room:
            yield RehearsalRoom(room)

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[Invitation]:
        """A lobby that refuses."""
        async with rehearsal.serve(Script((), (), Lobby(delay=0.2, then="refuse")), {}) as room:
            yield invited(room.url)

    def unreachable(self) -> tuple[Invitation, str]:
        """Nothing listens on port 1."""
        return invited("rehearsal+ws://127.0.0.1:1"), "127.0.0.1:1"
