"""A toy room on loopback, directed by the contract suite (`tests.platforms.contract.Room`)."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from pydantic import SecretStr

from bot.platforms.base import Invitation
from common.audio.pcm import SAMPLE_RATE
from tests.platforms.toy import ToySettings

FRAME_SAMPLES = 320
ROOM_KEY = "canary-room-key"


def invited(url: str, key: str = ROOM_KEY) -> Invitation:
    """An invitation to the room."""
    return Invitation(url, "bot-1", "Earshot", settings=ToySettings(room="standup", room_key=SecretStr(key)))


@dataclass
class Person:
    """Somebody in the room."""

    name: str
    track: str | None
    muted: bool = False
    hertz: float = 0.0


class ToyRoom:
    """The meeting and its server."""

    def __init__(self, lobby: bool) -> None:
        self.url = ""
        self._people: dict[str, Person] = {}
        self._bots: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        if not lobby:
            self._open.set()
        self._cut_until = 0.0
        self._tracks = count(1)

    def invitation(self) -> Invitation:
        """Joins as bot-1."""
        return invited(self.url)

    async def join(self, who: str, name: str, *, publishes: bool = True) -> None:
        """Somebody comes."""
        self._people[who] = Person(name, f"{who}-{next(self._tracks)}" if publishes else None)
        self._tell(self._picture())

    async def tone(self, who: str, hertz: float) -> None:
        """A sine, or zeros."""
        self._people.setdefault(who, Person(who.title(), f"{who}-{next(self._tracks)}")).hertz = hertz

    async def mute(self, who: str) -> None:
        """Nothing is sent any more."""
        self._people[who].muted = True
        self._tell(self._picture())

    async def unmute(self, who: str) -> None:
        """It is again."""
        self._people[who].muted = False
        self._tell(self._picture())

    async def rename(self, who: str, name: str) -> None:
        """Another display name."""
        self._people[who].name = name
        self._tell(self._picture())

    async def leave(self, who: str) -> None:
        """Somebody goes."""
        del self._people[who]
        self._tell(self._picture())

    async def admit(self) -> None:
        """Whoever waits is let in."""
        self._open.set()

    async def cut(self, seconds: float) -> None:
        """Every connection breaks, and new ones are not taken."""
        self._cut_until = time.monotonic() + seconds
        for bot in self._bots:
            bot.transport.abort()

    async def remove_bot(self) -> None:
        """The host removes every bot."""
        self._tell({"end": "removed"})

    async def end(self) -> None:
        """The meeting is over."""
        self._tell({"end": "meeting_ended"})

    def _picture(self) -> dict[str, Any]:
        people = {who: {"name": p.name, "track": p.track, "muted": p.muted} for who, p in self._people.items()}
        return {"people": people}

    def _tell(self, message: dict[str, Any]) -> None:
        for bot in self._bots:
            bot.write(json.dumps(message).encode() + b"\n")

    async def visit(self, reader: asyncio.StreamReader, bot: asyncio.StreamWriter) -> None:
        """One bot's connection."""
        try:
            join = json.loads(await reader.readline() or b"{}")
            if time.monotonic() < self._cut_until:
                bot.transport.abort()
            elif join.get("key") != ROOM_KEY:
                bot.write(b'{"refused": "wrong key"}\n')
            else:
                await self._welcome(bot)
                await reader.read()  # until the bot goes
        except OSError:
            pass
        finally:
            self._bots.discard(bot)
            bot.close()
            with suppress(OSError):
                await bot.wait_closed()

    async def _welcome(self, bot: asyncio.StreamWriter) -> None:
        if not self._open.is_set():
            bot.write(b'{"lobby": true}\n')
            await self._open.wait()
        bot.write(json.dumps(self._picture()).encode() + b"\n")
        self._bots.add(bot)

    async def speak(self) -> None:
        """Sends what the microphones pick up, in real time."""
        begun = time.monotonic()
        for frame in count():
            await asyncio.sleep(begun + frame * FRAME_SAMPLES / SAMPLE_RATE - time.monotonic())
            position = frame * FRAME_SAMPLES
            for person in self._people.values():
                if person.track and not person.muted:
                    wave = np.sin(
                        2 * np.pi * person.hertz * np.arange(position, position + FRAME_SAMPLES) / SAMPLE_RATE
                    )
                    pcm = base64.b64encode((8000 * wave).astype(np.int16).tobytes()).decode()
                    self._tell({"audio": person.track, "position": position, "pcm": pcm})


@asynccontextmanager
async def toy_room(lobby: bool = False) -> AsyncIterator[ToyRoom]:
    """A room that listens on a free port."""
    room = ToyRoom(lobby)
    visits: set[asyncio.Task[None]] = set()

    def take(reader: asyncio.StreamReader, bot: asyncio.StreamWriter) -> None:
        visits.add(asyncio.create_task(room.visit(reader, bot)))

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    room.url = f"toy://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    speaking = asyncio.create_task(room.speak())
    try:
        yield room
    finally:
        server.close()
        for task in (speaking, *visits):
            task.cancel()
        await asyncio.gather(speaking, *visits, return_exceptions=True)
