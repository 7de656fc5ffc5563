"""The load: raw WebSocket clients that speak the stock protocol, one per track, and log every message.

Float32 frames of 20 ms, each sent when its last sample would have been spoken, by a monotonic clock; a server that
does not read makes a stream late, and its latency counts from when the audio was due.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from bench.transcriber.audio import FRAME, RATE, Samples, Track, noise
from bench.transcriber.score import COVERS, Shown, Spoken, parse

TICK = FRAME / RATE
PATIENCE = 15.0
"""Seconds of noise floor after the last sentence in which its final may still come."""
SETTLE = 1.0
"""Seconds of it at least."""
GOODBYE = 15.0
"""Seconds for the tail after END_OF_AUDIO."""
END_OF_AUDIO = b"END_OF_AUDIO"
_NOTHING = Spoken(0.0, 0.0, "")


@dataclass
class Log:
    """What one stream sent and got; seconds of the stream."""

    shown: list[Shown] = field(default_factory=list)
    raw: list[tuple[float, str]] = field(default_factory=list)
    """Every message as it came."""
    problem: str | None = None
    """Why the stream was not served to its end."""
    sent: float = 0.0
    """Seconds of audio."""
    tail_at: float | None = None
    """When the tail began."""
    latest: float = 0.0
    """The most that a frame was late."""

    @property
    def bytes(self) -> int:
        """Received text."""
        return sum(len(message) for _, message in self.raw)


def hello(threshold: int) -> str:
    """The first message of whisper-live's own client."""
    return json.dumps(
        {
            "uid": str(uuid4()), "language": "en", "task": "transcribe", "model": "small", "use_vad": True,
            "send_last_n_segments": 10, "no_speech_thresh": 0.45, "clip_audio": False,
            "same_output_threshold": threshold,
        }
    )  # fmt: skip


async def play(url: str, tracks: Sequence[Track], threshold: int, stagger: float = 3.0) -> list[Log]:
    """All tracks at once, their beginnings spread over `stagger` seconds."""
    streams = [Stream(url, threshold) for _ in tracks]
    begin = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for index, (stream, track) in enumerate(zip(streams, tracks, strict=True)):
            group.create_task(stream.run(track, begin + stagger * index / len(tracks)))
    return [stream.log for stream in streams]


async def listen_to_nothing(url: str, count: int, level: float, seconds: float, threshold: int) -> list[Log]:
    """Streams on which nobody speaks: digital silence at level 0.0, else white noise."""
    streams = [Stream(url, threshold) for _ in range(count)]
    begin = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for index, stream in enumerate(streams):
            samples = noise(index, seconds, level)
            group.create_task(stream.run_quietly(samples, begin + index / len(streams)))
    return [stream.log for stream in streams]


async def warm_up(url: str, track: Track, threshold: int) -> None:
    """Until the server has shown that it transcribes: a sentence as fast as it takes it.

    Raises:
        TimeoutError: It shows nothing.
    """
    stream = Stream(url, threshold)
    async with asyncio.timeout(60), connect(url, compression=None, max_size=None) as socket:
        if not await stream.is_welcome(socket):
            raise TimeoutError(f"The server refused its first client: {stream.log.problem}")
        heard = np.concatenate([track.samples[: 5 * RATE], noise(0, 2.0)])
        for first in range(0, len(heard), RATE // 4):
            await socket.send(heard[first : first + RATE // 4].tobytes())
        async for message in socket:
            if parse(0.0, message):
                break
        await socket.send(END_OF_AUDIO)


class Stream:
    """One client."""

    def __init__(self, url: str, threshold: int) -> None:
        self.log = Log()
        self._url = url
        self._threshold = threshold
        self._zero = 0.0
        self._next = 0
        self._covered = 0.0

    async def run(self, track: Track, begin: float) -> None:
        """The track, the noise floor until its last sentence is final or patience ends, the tail, END_OF_AUDIO."""
        await self._sleep_until(begin)
        try:
            async with connect(self._url, compression=None, max_size=None, open_timeout=30) as socket:
                if await self.is_welcome(socket):
                    reader = asyncio.create_task(self._read(socket))
                    try:
                        await self._play(socket, track)
                        await asyncio.wait([reader], timeout=GOODBYE)
                    finally:
                        reader.cancel()
        except (OSError, InvalidHandshake, ConnectionClosed) as error:
            self.log.problem = f"{type(error).__name__}: {error}"

    async def run_quietly(self, samples: Samples, begin: float) -> None:
        """These samples, then END_OF_AUDIO."""
        await self.run(Track(samples, (), np.zeros(0, np.float32), _NOTHING), begin)

    async def is_welcome(self, socket: ClientConnection) -> bool:
        """Handshake; false, with the problem in the log, if the server has no room."""
        await socket.send(hello(self._threshold))
        async with asyncio.timeout(60):
            while True:
                message = json.loads(await socket.recv())
                if message.get("status") in ("WAIT", "ERROR"):
                    self.log.problem = f"{message['status']}: {message.get('message')}"
                    return False
                if message.get("message") == "SERVER_READY":
                    self._zero = time.monotonic()
                    return True

    async def _play(self, socket: ClientConnection, track: Track) -> None:
        await self._send(socket, track.samples)
        if track.spoken:
            end, begun = track.spoken[-1].end, self.log.sent
            floor = noise(0, 1.0)
            while self.log.sent < begun + PATIENCE:
                if self.log.sent >= end + SETTLE and self._covered >= end - COVERS:
                    break
                first = self._next * FRAME % RATE
                await self._send(socket, floor[first : first + FRAME])
            self.log.tail_at = self._next * TICK
            await self._send(socket, track.tail)
        await socket.send(END_OF_AUDIO)

    async def _send(self, socket: ClientConnection, samples: Samples) -> None:
        for first in range(0, len(samples), FRAME):
            self._next += 1
            due = self._zero + self._next * TICK
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            else:
                self.log.latest = max(self.log.latest, -wait)
            await socket.send(samples[first : first + FRAME].tobytes())
            self.log.sent = self._next * TICK

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for message in socket:
                at = time.monotonic() - self._zero
                text = message if isinstance(message, str) else message.decode()
                self.log.raw.append((at, text))
                if shown := parse(at, text):
                    self.log.shown.append(shown)
                    completed = [segment.end for segment in shown.segments if segment.completed]
                    self._covered = max([self._covered, *completed])
        except ConnectionClosed as error:
            self.log.problem = f"closed: {error}"

    @staticmethod
    async def _sleep_until(when: float) -> None:
        await asyncio.sleep(max(0.0, when - time.monotonic()))
