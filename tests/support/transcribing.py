"""A transcriber on a real socket in the test's own loop, and clients that write down what they hear."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from common.whisperlive.protocol import (
    Acked,
    ClientEvent,
    ClientProtocol,
    Handshake,
    Segments,
    WireSegment,
)
from tests.support.audio.sounds import white_noise
from tests.support.fakes.scripted_engine import ScriptedEngine, speech_probabilities
from tests.support.servers.threaded import Threaded
from transcriber.core.session import SpeechProbabilities
from transcriber.engine.base import Engine
from transcriber.metrics import Metrics
from transcriber.service import listen
from transcriber.sessions import Sessions
from transcriber.websocket.admission import Admission
from transcriber.websocket.server import Server
from transcriber.windowed import WindowedSessions
from transcriber.worker import Worker


@dataclass(slots=True)
class Serving:
    """A running server."""

    url: str
    server: Server
    worker: Worker
    metrics: Metrics


@asynccontextmanager
async def serving(
    engine: Engine | None = None,
    *,
    sessions: Sessions | None = None,
    speech: Callable[[], SpeechProbabilities] | None = None,
    max_clients: int = 64,
    buffer: int | None = None,
    key: str | None = None,
    origins: Sequence[str] = (),
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Serving]:
    """Serves on a free port until the block ends, windows of `engine` or the streams of `sessions`; `buffer` limits the
    bytes that wait in the server's sockets."""
    listener = listen("127.0.0.1", 0, "port")
    if buffer:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    metrics = Metrics()
    decoder = Threaded(engine or ScriptedEngine())
    worker = Worker(decoder, metrics)
    access = Admission(key, origins, max_clients, metrics)
    sessions = sessions or WindowedSessions(decoder, worker, speech or (lambda: speech_probabilities))
    server = Server(sessions, max_clients, access, metrics)
    working = asyncio.create_task(worker.run())
    try:
        async with server.listen(listener, tls):
            scheme = "wss" if tls else "ws"
            yield Serving(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", server, worker, metrics)
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


@dataclass(slots=True)
class Client:
    """A client of our protocol: `events` and `raw` grow as messages come."""

    socket: ClientConnection
    protocol: ClientProtocol
    events: list[ClientEvent] = field(default_factory=list)
    raw: list[dict[str, Any]] = field(default_factory=list)

    async def hear(self) -> ClientEvent | None:
        """Reads one message; its last event."""
        message = await self.socket.recv()
        self.raw.append(json.loads(message))
        events = self.protocol.receive(message)
        self.events += events
        return events[-1] if events else None

    async def until(self, wanted: Callable[[ClientEvent], bool], timeout: float = 20) -> ClientEvent:
        """Reads until an event is as wanted."""
        async with asyncio.timeout(timeout):
            while True:
                before = len(self.events)
                await self.hear()
                for event in self.events[before:]:
                    if wanted(event):
                        return event

    async def rest(self, timeout: float = 10) -> int:
        """Reads until the server closes; the close code."""
        async with asyncio.timeout(timeout):
            while True:
                try:
                    await self.hear()
                except ConnectionClosed as closed:
                    return closed.rcvd.code if closed.rcvd else 1006

    async def say(self, *pieces: npt.NDArray[np.int16]) -> None:
        """Sends audio in frames of 100 ms."""
        for piece in pieces:
            for first in range(0, len(piece), 1600):
                await self.socket.send(self.protocol.audio(piece[first : first + 1600]))

    async def dictate(self, sounds: Iterable[npt.NDArray[np.int16]]) -> None:
        """Utterance after utterance in a quiet room, ended by us where that is granted, then END_OF_AUDIO; reads until
        the server, which has decided all, closes."""
        reading = asyncio.create_task(self.rest(timeout=50))
        is_asked = "utterance" in self.protocol.granted
        for sound in sounds:
            await self.say(white_noise(0.3, 0.0003), sound, white_noise(0.2 if is_asked else 0.7, 0.0003))
            if is_asked:
                await self.end_utterance()
        await self.socket.send(self.protocol.end_of_audio())
        assert await reading == 1000

    async def end_utterance(self) -> int:
        """Says that the utterance is complete; returns its end."""
        await self.socket.send(self.protocol.end_utterance(self.protocol.sent_until))
        return self.protocol.sent_until

    async def acked(self, sample: int, timeout: float = 5) -> None:
        """Reads until everything before `sample` is decided."""
        await self.until(lambda event: isinstance(event, Acked) and event.sample >= sample, timeout)

    async def say_each(self, sounds: Iterable[npt.NDArray[np.int16]], pause_s: float = 0.05) -> None:
        """Each sound as an utterance of its own, until all are decided."""
        for sound in sounds:
            await self.say(sound)
            end = await self.end_utterance()
            await asyncio.sleep(pause_s)
        await self.acked(end, timeout=15)

    @property
    def segments(self) -> list[WireSegment]:
        """All segments heard, in order."""
        return [segment for event in self.events if isinstance(event, Segments) for segment in event.segments]

    @property
    def finals(self) -> list[WireSegment]:
        """The completed ones, each once (stock servers send them again)."""
        return list({segment.start: segment for segment in self.segments if segment.completed}.values())

    @property
    def text(self) -> list[str]:
        """What was said, final by final."""
        return [segment.text.strip() for segment in self.finals]


@asynccontextmanager
async def talking(
    url: str,
    handshake: Handshake,
    buffer: int | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Client]:
    """A client that is ready to send; `buffer` limits the bytes that wait for it unread."""
    line = socket.socket()
    if buffer:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    line.setblocking(False)
    await asyncio.get_running_loop().sock_connect(line, ("127.0.0.1", int(url.rpartition(":")[2])))
    async with connect(
        url, sock=line, ssl=tls, additional_headers=headers, compression=None, ping_interval=None, proxy=None,
        close_timeout=1,
    ) as peer:  # fmt: skip
        client = Client(peer, ClientProtocol(handshake))
        await peer.send(client.protocol.hello())
        while not client.protocol.ready:
            await client.hear()
        yield client
