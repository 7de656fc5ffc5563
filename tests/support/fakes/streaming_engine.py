"""A scripted streaming engine: a server that is fed audio and answers by itself, and the sessions that speak to it.

The sessions are what an adaptor to a real one looks like (docs/transcriber-engines.md). The server stands for the
vendor's: int16 at 16 kHz goes in, with a text message where an utterance ends; tones are words; out come
`{"partial" | "final": text, "start": s, "end": s}`, and `{"decided": samples}` once nothing more comes for these.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import groupby

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, WebSocketException

from common.whisperlive.protocol import SAMPLE_RATE, Handshake, WireSegment
from tests.support.fakes.scripted_engine import BLOCK, word_in
from transcriber.core.windows import Samples
from transcriber.engine.base import EngineLost
from transcriber.sessions import SessionListener

END_OF_UTTERANCE = "end"
PAUSE_BLOCKS = 4
"""Silence that ends an utterance, in blocks."""
MAX_UNDECIDED_SAMPLES = 20 * SAMPLE_RATE
"""Taken before anything is decided; then the client waits."""


class ScriptedVendor:
    """The server. Clearing `go` makes it answer nothing until it is set; `drop` is its crash."""

    def __init__(self) -> None:
        self.url = ""
        self.go = asyncio.Event()
        self.go.set()
        self.streams: set[ServerConnection] = set()

    def drop(self) -> None:
        """All streams break."""
        for stream in self.streams:
            stream.transport.abort()

    async def handle(self, stream: ServerConnection) -> None:
        """One stream."""
        self.streams.add(stream)
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


class StreamingSession:
    """One stream on its way to the vendor; its clock there begins with our first sample."""

    detected = None
    is_attentive = False

    def __init__(self, url: str, handshake: Handshake, clock_start: int) -> None:
        self._url = url
        self._uid = handshake.uid
        self._language = handshake.language
        self._zero = clock_start
        self._heard = clock_start
        self.decided = clock_start
        self._finals = 0
        self._unsent: deque[bytes | str] = deque()  # bounded by what may be undecided
        self._wake = asyncio.Event()

    @property
    def is_settled(self) -> bool:
        """The vendor has decided everything."""
        return self.decided >= self._heard

    @property
    def is_full(self) -> bool:
        """The vendor does not keep up."""
        return self._heard - self.decided > MAX_UNDECIDED_SAMPLES

    def is_stalled(self, now: float) -> bool:
        """A vendor that does not answer is waited for as long as its connection stands."""
        return False

    @asynccontextmanager
    async def serve(self, listener: SessionListener) -> AsyncIterator[None]:
        """On a connection of its own. Raises EngineLost."""
        try:
            async with connect(self._url, compression=None, proxy=None) as vendor, asyncio.TaskGroup() as tasks:
                working = [tasks.create_task(self._send(vendor)), tasks.create_task(self._receive(vendor, listener))]
                yield
                for task in working:
                    task.cancel()
        except* (WebSocketException, OSError) as errors:
            raise EngineLost(f"the vendor's connection broke: {errors.exceptions[0]}") from errors

    def hear(self, first_sample: int, samples: Samples, now: float) -> bool:
        """Sends it, and the gap before it as silence."""
        self._put(np.zeros(2 * (first_sample - self._heard), np.int8).tobytes() + samples.astype("<i2").tobytes())
        self._heard = first_sample + len(samples)
        return False

    def end_utterance(self, sample: int, now: float) -> None:
        """The vendor cuts where its audio ends: clients say so at once, what they say next comes after it."""
        self._put(END_OF_UTTERANCE)

    def end(self, now: float) -> None:
        """Nothing more for now."""
        self._put(END_OF_UTTERANCE)

    def _put(self, message: bytes | str) -> None:
        self._unsent.append(message)
        self._wake.set()

    async def _send(self, vendor: ClientConnection) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._unsent:
                await vendor.send(self._unsent.popleft())

    async def _receive(self, vendor: ClientConnection, listener: SessionListener) -> None:
        async for message in vendor:
            answer = json.loads(message)
            if "decided" in answer:
                self.decided = self._zero + answer["decided"]
                listener.show([])
            else:
                listener.show([self._segment(answer)])
                self._finals += "final" in answer
        raise ConnectionClosed(None, None)

    def _segment(self, answer: dict[str, str | float]) -> WireSegment:
        zero, completed = self._zero / SAMPLE_RATE, "final" in answer
        return WireSegment(
            start=zero + float(answer["start"]),
            end=zero + float(answer["end"]),
            text=f" {answer['final' if completed else 'partial']}",
            completed=completed,
            segment_id=f"{self._uid}:{self._zero}:{self._finals}",
            language=self._language,
            stable_len=None if completed else 0,
        )


class StreamingSessions:
    """The vendor as the server sees it."""

    name = "scripted streams"
    languages = frozenset[str]()
    admits = True

    def __init__(self, url: str) -> None:
        self._url = url

    def session(self, handshake: Handshake, granted: frozenset[str], clock_start: int) -> StreamingSession:
        """A stream."""
        return StreamingSession(self._url, handshake, clock_start)
