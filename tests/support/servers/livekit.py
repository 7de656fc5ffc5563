"""Rooms of a real livekit-server, directed by tests."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np
from livekit import rtc
from numpy.typing import NDArray
from pydantic import SecretStr

from bot.platforms.base import Invitation
from bot.platforms.livekit.settings import LiveKitSettings
from rehearsal.clips import CLIP_RATE
from rehearsal.livekit.guest import Guest
from rehearsal.livekit.server import MISSING, LiveKitServer, as_host, find_livekit_server, livekit_server
from tests.support.servers.doors import Door
from tests.support.tools import require
from tests.support.waiting import eventually


@contextmanager
def required() -> Iterator[LiveKitServer]:
    """A real livekit-server on the tests' own network, with keys of its own; without one the test says so."""
    require(os.environ.get("EARSHOT_HERMETIC"), "LiveKit tests need a network of their own: tools/hermetic pytest …")
    require(find_livekit_server(), MISSING)
    with livekit_server() as server:
        yield server


def invited(server: LiveKitServer, room: str, **changes: Any) -> Invitation:
    """An invitation that mints its token for `room`; `changes` override the platform's settings and the invitation."""
    own = {name: changes.pop(name) for name in [*changes] if name in LiveKitSettings.model_fields}
    mint = LiveKitSettings(room=room, api_key=server.api_key, api_secret=SecretStr(server.api_secret), **own)
    usual: dict[str, Any] = {
        "meeting_url": server.url,
        "connection_id": "bot-1",
        "bot_name": "Earshot",
        "settings": mint,
    }
    return Invitation(**(usual | changes))


def tone(hertz: float, seconds: float) -> NDArray[np.int16]:
    """A sine of a quarter of full scale at 48 kHz; 0 Hz: digital zeros."""
    t = np.arange(int(seconds * CLIP_RATE)) / CLIP_RATE
    return (8000 * np.sin(2 * np.pi * hertz * t)).astype(np.int16)


class DirectedRoom:
    """A room of a real livekit-server, directed step by step (`tests.platforms.contract.Room`)."""

    def __init__(self, server: LiveKitServer, door: Door) -> None:
        self.server = server
        self.name = f"room-{uuid4().hex[:8]}"
        self.guests: dict[str, Guest] = {}
        self._door = door
        self._tones: dict[str, float] = {}
        self._microphones: dict[str, asyncio.Task[None]] = {}

    def invitation(self) -> Invitation:
        return invited(self.server, self.name, meeting_url=self._door.url)

    async def join(self, who: str, name: str, *, publishes: bool = True, key: str | None = None, **claims: Any) -> None:
        guest = self.guests[who] = Guest(who, name, key)
        await guest.join(self.server, self.name, **claims)
        if publishes:
            await self.publish(who, 0)

    async def publish(
        self, who: str, hertz: float, source: rtc.TrackSource.ValueType = rtc.TrackSource.SOURCE_MICROPHONE
    ) -> str:
        """Opens a microphone, or what takes its place, with a tone; returns the track's id."""
        self._tones[who] = hertz
        track = await self.guests[who].publish(source=source)
        if who not in self._microphones:
            self._microphones[who] = asyncio.create_task(self._speak(self.guests[who]))  # into what was opened last
        return track

    async def _speak(self, guest: Guest) -> None:
        while True:
            await guest.speak(tone(self._tones[guest.identity], 0.1), wait=False)

    async def tone(self, who: str, hertz: float) -> None:
        self._tones[who] = hertz

    async def mute(self, who: str) -> None:
        self.guests[who].mute()

    async def unmute(self, who: str) -> None:
        self.guests[who].unmute()

    async def rename(self, who: str, name: str) -> None:
        await self.guests[who].rename(name)

    async def leave(self, who: str) -> None:
        if who in self._microphones:
            microphone = self._microphones.pop(who)
            microphone.cancel()
            await asyncio.wait([microphone])
        await self.guests.pop(who).leave()

    async def admit(self) -> None:
        raise AssertionError("LiveKit has no lobby")

    async def cut(self, seconds: float, dropping: bool = True) -> None:
        await self._door.shut(seconds, dropping)

    async def remove_bot(self) -> None:
        await as_host(self.server, "RemoveParticipant", room=self.name, identity="bot-1")

    async def end(self) -> None:
        await as_host(self.server, "DeleteRoom", room=self.name)


R = TypeVar("R", bound=DirectedRoom)


@asynccontextmanager
async def room_of(kind: type[R], server: LiveKitServer) -> AsyncIterator[R]:
    """A fresh, empty room of a kind; everybody leaves it at the end."""
    async with Door(server.url).standing() as door:
        room = kind(server, door)
        try:
            yield room
        finally:
            for who in list(room.guests):
                await room.leave(who)
            # where the server ended the room, the SDK still hears of it when it has let us go
            await eventually(lambda: not any("Room._listen_task" in repr(task) for task in asyncio.all_tasks()))


def directed_room(server: LiveKitServer) -> AbstractAsyncContextManager[DirectedRoom]:
    """A fresh, empty room; everybody leaves it at the end."""
    return room_of(DirectedRoom, server)
