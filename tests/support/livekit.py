"""A real livekit-server for tests, what a bot hears in its rooms, and the calls that a host would make."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import jwt
import numpy as np
from numpy.typing import NDArray
from pydantic import SecretStr

from bot.config import BotConfig, LiveKitSettings
from bot.core.errors import SubCode
from bot.core.events import PlatformEvent
from bot.platforms.base import AudioFrame
from bot.platforms.livekit import LiveKit
from bot.rehearsal.livekit_server import LiveKitServer

E = TypeVar("E", bound=PlatformEvent)
NEVER = "redis://127.0.0.1:1"


class Recorder:
    """A listener that keeps everything, and can be waited on."""

    def __init__(self) -> None:
        self.events: list[PlatformEvent] = []
        self.frames: list[AudioFrame] = []
        self._news = asyncio.Event()

    def event(self, event: PlatformEvent) -> None:
        self.events.append(event)
        self._news.set()

    def audio(self, frame: AudioFrame) -> None:
        self.frames.append(frame)
        self._news.set()

    async def until(self, condition: Callable[[], object], what: str, within: float = 8.0) -> None:
        """Waits until the condition holds; fails saying `what` was awaited and what happened instead."""
        try:
            async with asyncio.timeout(within):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"not within {within} s: {what}; seen: {self.events}") from None

    async def first(self, kind: type[E], within: float = 8.0) -> E:
        """The first event of this class, waited for."""
        await self.until(lambda: self.all(kind), kind.__name__, within)
        return self.all(kind)[0]

    def all(self, kind: type[E]) -> list[E]:
        """The events of this class so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def loud(self, track_id: str) -> list[AudioFrame]:
        """The frames of a track in which something is to be heard."""
        return [frame for frame in self.frames if frame.track_id == track_id and np.abs(frame.pcm).max() > 1000]


def bot_config(server: LiveKitServer, room: str, **settings: Any) -> BotConfig:
    """A configuration that mints its token for `room`; `settings` override, `livekit: None` drops the minting."""
    mint = LiveKitSettings(room=room, api_key=server.api_key, api_secret=SecretStr(server.api_secret))
    usual = {"platform": "livekit", "meeting_url": server.url, "connection_id": "bot-1", "livekit": mint}
    links = {"redis_url": NEVER, "transcriber_urls": ("ws://127.0.0.1:1",)}
    return BotConfig(**(usual | links | settings))


class Bot:
    """The platform under test, attending a room in the background."""

    def __init__(self, config: BotConfig) -> None:
        self.heard = Recorder()
        self.leave = asyncio.Event()
        self.stay = asyncio.create_task(LiveKit().attend(config, self.heard, self.leave))
        self.stay.add_done_callback(lambda _: self.heard._news.set())

    async def end(self, within: float = 8.0) -> SubCode:
        """Why it ended by itself."""
        async with asyncio.timeout(within):
            return await asyncio.shield(self.stay)


@asynccontextmanager
async def bot_in(server: LiveKitServer, room: str, **settings: Any) -> AsyncIterator[Bot]:
    """A bot that has joined `room`; it leaves with the block."""
    from bot.core.events import Admitted

    bot = Bot(bot_config(server, room, **settings))
    try:
        await bot.heard.until(lambda: bot.heard.all(Admitted) or bot.stay.done(), "Admitted", within=15)
        if bot.stay.done():
            bot.stay.result()
        yield bot
    finally:
        bot.leave.set()
        await asyncio.wait([bot.stay], timeout=8)
        assert bot.stay.done(), "the platform did not leave"


def new_room() -> str:
    """A room name that no other test uses."""
    return f"room-{uuid4().hex[:8]}"


async def as_host(server: LiveKitServer, call: str, **arguments: Any) -> dict[str, Any]:
    """One call of LiveKit's RoomService, as the host's own server would make it."""
    room = arguments["room"]
    grants = {"room": room, "roomAdmin": True, "roomCreate": True, "roomList": True}
    claims = {"iss": server.api_key, "sub": "host", "exp": int(time.time()) + 60, "video": grants}
    token = jwt.encode(claims, server.api_secret, algorithm="HS256")
    url = server.url.replace("ws", "http", 1) + f"/twirp/livekit.RoomService/{call}"
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(url, json=arguments, headers={"Authorization": f"Bearer {token}"})
    answer.raise_for_status()
    return dict(answer.json())


def tone(hertz: float, seconds: float) -> NDArray[np.int16]:
    """A sine of a quarter of full scale, 16 kHz."""
    t = np.arange(int(seconds * 16_000)) / 16_000
    return (8000 * np.sin(2 * np.pi * hertz * t)).astype(np.int16)


def pitch(pcm: NDArray[np.int16]) -> float:
    """The strongest frequency in Hz."""
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm))))
    return float(spectrum.argmax() * 16_000 / len(pcm))
