"""A fake transcriber for faults: speaks the wire format, and says of each utterance how long it was instead of what.

Scripted, not a mock: it counts and keeps every sample that it hears, per lane clock, so that lost, doubled or reordered
audio is an exact comparison.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from common.whisperlive.protocol import (
    EXTENSIONS,
    Audio,
    EndOfAudio,
    Opened,
    ServerProtocol,
    UtteranceEnd,
    WireSegment,
    WireWord,
)

RATE = 16_000


@dataclass
class ScriptedTranscriber:
    """What the server does, and what it heard."""

    offered: frozenset[str] = EXTENSIONS
    answers: bool = True
    """False: takes audio and never says anything (a frozen server that still answers pings)."""
    guesses: bool = False
    """A partial comes with each frame."""
    end_of_next: str = ""
    """The end of the next segments, as JSON spells it, instead of the right one."""
    refuse: str = ""
    languages: frozenset[str] | None = None
    """Others are refused, as by a model that does not know them; None: all are taken."""
    full: bool = False
    connections: int = 0
    most_open: int = 0
    """The most connections at once."""
    handshakes: list[Opened] = field(default_factory=list)
    heard: dict[int, NDArray[np.int16]] = field(default_factory=dict)
    """First sample on the connection's clock → samples of each finished or broken utterance."""
    url: str = ""
    _sockets: set[ServerConnection] = field(default_factory=set)

    async def cut(self) -> None:
        """Breaks every connection without a goodbye."""
        for socket in list(self._sockets):
            socket.transport.abort()

    async def close(self, code: int) -> None:
        """Says goodbye on every connection."""
        for socket in list(self._sockets):
            await socket.close(code)

    def freeze(self) -> None:
        """Reads and says nothing more, pings included, as a stopped process would."""
        for socket in self._sockets:
            socket.transport.pause_reading()

    def thaw(self) -> None:
        """Goes on."""
        for socket in self._sockets:
            if not socket.transport.is_closing():
                socket.transport.resume_reading()

    async def __call__(self, socket: ServerConnection) -> None:
        """Serves one connection."""
        self.connections += 1
        self._sockets.add(socket)
        self.most_open = max(self.most_open, len(self._sockets))
        try:
            await self._converse(socket, ServerProtocol(self.offered))
        except ConnectionClosed:
            pass
        finally:
            self._sockets.discard(socket)

    def _spoilt(self, reply: str) -> str:
        """A reply whose segments end where `end_of_next` says."""
        message = json.loads(reply)
        if not self.end_of_next or "segments" not in message:
            return reply
        for segment in message["segments"]:
            segment["end"] = "END"
        return json.dumps(message).replace('"END"', self.end_of_next)

    async def _converse(self, socket: ServerConnection, protocol: ServerProtocol) -> None:
        pcm, first = np.zeros(0, np.int16), 0
        async for message in socket:
            for event in protocol.receive(message):
                match event:
                    case Opened():
                        self.handshakes.append(event)
                        if self.languages and event.handshake.language not in self.languages:
                            await socket.send(protocol.refuse(f"language: {event.handshake.language} is not known"))
                            return
                        if self.refuse or self.full:
                            await socket.send(protocol.wait(1.0) if self.full else protocol.refuse(self.refuse))
                            return
                        for reply in protocol.ready():
                            await socket.send(reply)
                        first = protocol.clock_start
                    case Audio(_, samples):
                        pcm = np.concatenate([pcm, samples])
                        self.heard[first] = pcm
                        if self.guesses:
                            guess = WireSegment(first / RATE, (first + len(pcm)) / RATE, f" {len(pcm)} so far", False)
                            for reply in protocol.segments([guess]):
                                await socket.send(reply)
                    case UtteranceEnd(sample) if self.answers:
                        text = f" {len(pcm)} samples"
                        start, end = first / RATE, sample / RATE
                        words = (WireWord("samples", start, end, 0.9),)
                        segment = WireSegment(start, end, text, True, f"{protocol.uid}:{first}", "en", words)
                        for reply in (*protocol.segments([segment]), *protocol.acked(sample)):
                            await socket.send(self._spoilt(reply))
                        pcm, first = np.zeros(0, np.int16), sample
                    case EndOfAudio():
                        return


@asynccontextmanager
async def scripted_transcriber(server: ScriptedTranscriber, port: int = 0) -> AsyncIterator[Server]:
    """Listens on loopback; sets `server.url`."""
    async with serve(server, "127.0.0.1", port, compression=None) as listening:
        server.url = f"ws://127.0.0.1:{next(iter(listening.sockets)).getsockname()[1]}"
        yield listening
