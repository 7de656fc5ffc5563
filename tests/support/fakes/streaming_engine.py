"""A scripted vendor of streaming transcription: a server that is fed audio and answers by itself.

int16 at 16 kHz goes in, with a text message where an utterance ends; tones are words; out come
`{"partial" | "final": text, "start": s, "end": s}`, and `{"decided": samples}` once nothing more comes for these. What
speaks to it is the adaptor of docs/transcriber-engines.md, as it stands there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import groupby

import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from common.whisperlive.protocol import SAMPLE_RATE
from tests.support.fakes.scripted_engine import BLOCK, word_in
from tests.support.guides import module
from transcriber.config import RemoteSettings
from transcriber.sessions import Sessions

END_OF_UTTERANCE = "end"
PAUSE_BLOCKS = 4
"""Silence that ends an utterance, in blocks."""
ADAPTOR = module("transcriber-engines.md", "A streaming engine")
MAX_UNDECIDED_SAMPLES: int = ADAPTOR.MAX_UNDECIDED_SAMPLES


class ScriptedVendor:
    """The server. Clearing `go` makes it answer nothing until it is set; `drop` is its crash."""

    def __init__(self) -> None:
        self.url = ""
        self.go = asyncio.Event()
        self.go.set()
        self.streams: set[ServerConnection] = set()
        self.keys: set[str | None] = set()

    def drop(self) -> None:
        """All streams break."""
        for stream in self.streams:
            stream.transport.abort()

    async def handle(self, stream: ServerConnection) -> None:
        """One stream."""
        self.streams.add(stream)
        if stream.request:
            self.keys.add(stream.request.headers.get("Authorization"))
        with suppress(ConnectionClosed):
            await self._hear(stream)
        self.streams.discard(stream)

    async def _hear(self, stream: ServerConnection) -> None:
        said: list[str | None] = []  # a word or silence per block, since the utterance began
        first = taken = 0  # blocks
        rest = np.zeros(0, np.int16)
        async for message in stream:
            await self.go.wait()
            if isinstance(message, bytes):
                rest = np.concatenate([rest, np.frombuffer(message, "<i2")])
            while len(rest) >= BLOCK:
                heard, rest, taken = word_in(rest[:BLOCK]), rest[BLOCK:], taken + 1
                first = taken - 1 if heard and not said else first
                said += [heard] if heard or said else []
                text = " ".join(word for word, _ in groupby(said) if word)
                if said[-PAUSE_BLOCKS:] == [None] * PAUSE_BLOCKS:
                    await stream.send(_answer("final", text, first, taken - PAUSE_BLOCKS))
                    said = []
                elif heard:
                    await stream.send(_answer("partial", text, first, taken))
                if not said:
                    await stream.send(json.dumps({"decided": taken * BLOCK}))
            if message == END_OF_UTTERANCE:
                if text := " ".join(word for word, _ in groupby(said) if word):
                    await stream.send(_answer("final", text, first, taken))
                said = []
                await stream.send(json.dumps({"decided": taken * BLOCK + len(rest)}))


def _answer(kind: str, text: str, first: int, last: int) -> str:
    return json.dumps({kind: text, "start": first * BLOCK / SAMPLE_RATE, "end": last * BLOCK / SAMPLE_RATE})


@asynccontextmanager
async def streaming_vendor() -> AsyncIterator[ScriptedVendor]:
    """On a free port until the block ends."""
    vendor = ScriptedVendor()
    async with serve(vendor.handle, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        vendor.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield vendor


load = ADAPTOR.load
"""As `--engine` names it."""


def sessions_of(url: str) -> Sessions:
    """The vendor as the server sees it: the adaptor of the guide."""
    sessions: Sessions = ADAPTOR.Vendor(RemoteSettings(url))
    return sessions
