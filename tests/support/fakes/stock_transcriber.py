"""A fake stock WhisperLive server for faults: no extensions, silence ends utterances, completed segments come again.

Scripted: it says of each utterance how long it was instead of what, and keeps every sample of speech that it hears.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

RATE = 16_000
SILENCE_SAMPLES = 5 * RATE // 2
"""Zeros after which it has made up its mind."""


@dataclass
class StockTranscriber:
    """What the server does, and what it heard."""

    is_mute: bool = False
    """Takes audio, answers pings, never says anything."""
    hangs_up: bool = False
    """Greets and closes with code 1000."""
    longest: float | None = None
    """Seconds after which the next frame gets DISCONNECT: its `max_connection_time`."""
    ready_after: float = 0.0
    """Seconds for which it loads a model, and says so."""
    instead: tuple[dict[str, Any], ...] = ()
    """Messages instead of ready; then it closes."""
    status: HTTPStatus | None = None
    """HTTP answer instead of a websocket."""
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    asked: int = 0
    """HTTP requests."""
    connections: int = 0
    """Those that became websockets."""
    disconnects: int = 0
    heard: list[int] = field(default_factory=list)
    """Samples of each utterance that it answered."""
    url: str = ""

    async def __call__(self, socket: ServerConnection) -> None:
        """Serves one connection."""
        self.connections += 1
        try:
            uid = json.loads(await socket.recv())["uid"]
            if await self._greet(socket, uid):
                await self._converse(socket, uid)
        except ConnectionClosed:
            pass

    def answer(self, socket: ServerConnection, request: Request) -> Response | None:
        """The HTTP answer that is no websocket, if that is what the script says."""
        self.asked += 1
        if self.status is None:
            return None
        response = socket.respond(self.status, self.body)
        for name, value in self.headers.items():
            response.headers[name] = value
        return response

    async def _greet(self, socket: ServerConnection, uid: str) -> bool:
        for message in self.instead:
            await socket.send(json.dumps({"uid": uid, **message}))
        if self.instead:
            return False
        if self.ready_after:
            await socket.send(json.dumps({"uid": uid, "status": "WARNING", "message": "loading the model"}))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(socket.wait_closed(), self.ready_after)
        await socket.send(json.dumps({"uid": uid, "message": "SERVER_READY", "backend": "faster_whisper"}))
        return not self.hangs_up

    async def _converse(self, socket: ServerConnection, uid: str) -> None:
        begun, segments = asyncio.get_running_loop().time(), []
        position, spoken, quiet = 0, 0, 0
        async for frame in socket:
            if self.longest is not None and asyncio.get_running_loop().time() - begun > self.longest:
                self.disconnects += 1
                await socket.send(json.dumps({"uid": uid, "message": "DISCONNECT"}))
                return
            assert isinstance(frame, bytes)
            pcm: NDArray[np.float32] = np.frombuffer(frame, "<f4")
            position += len(pcm)
            if pcm.any():
                spoken, quiet = spoken + len(pcm), 0
            else:
                quiet += len(pcm)
            if spoken and quiet >= SILENCE_SAMPLES and not self.is_mute:
                end = position - quiet
                times = {"start": f"{(end - spoken) / RATE:.3f}", "end": f"{end / RATE:.3f}"}
                segments.append(times | {"text": f" {spoken} samples", "completed": True})
                self.heard.append(spoken)
                spoken = 0
                await socket.send(json.dumps({"uid": uid, "segments": segments[-10:]}))


@asynccontextmanager
async def stock_transcriber(server: StockTranscriber, port: int = 0) -> AsyncIterator[StockTranscriber]:
    """Listens on loopback; sets `server.url`."""
    async with serve(server, "127.0.0.1", port, compression=None, process_request=server.answer) as listening:
        server.url = f"ws://127.0.0.1:{next(iter(listening.sockets)).getsockname()[1]}"
        yield server
