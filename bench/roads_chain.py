"""The whole chain over RTMP, for bench/roads.py: what is said, and when each stage of the chain had it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import connect as dial
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from bench.livekit import cpu_s, memory_mb, stored
from bot.audio.frame import AudioFrame
from bot.core.events import PlatformEvent
from bot.platforms.base import Invitation, Listener
from bot.platforms.orders import Orders
from bot.platforms.rtmp import Rtmp
from common.audio.pcm import SAMPLE_RATE
from common.contracts.status import SubCode
from rehearsal.clips import CLIP_RATE, load_clip, manifest, to_rate
from tests.support.servers.rtmp import FRAME_SAMPLES, Publisher, RtmpServer

PAUSE_S = 1.4
"""Between two sentences: longer than a final takes."""
LEAD_S = 2.0
"""Of a publication before anybody plays it."""
STEPS = CLIP_RATE // SAMPLE_RATE


@dataclass(frozen=True)
class Sentence:
    """One that is said; bounds of its speech in samples at 48 kHz."""

    text: str
    begin: int
    end: int


class Speech:
    """The bundled clips one after the other, in the noise of a room, for as long as anybody listens."""

    def __init__(self) -> None:
        self.sentences: list[Sentence] = []
        pieces, at = [np.zeros(CLIP_RATE, np.int16)], CLIP_RATE
        for name in manifest():
            clip = load_clip(name, Path())
            self.sentences.append(Sentence(clip.text or "", at + clip.speech[0], at + clip.speech[1]))
            pieces += [clip.pcm, np.zeros(round(PAUSE_S * CLIP_RATE), np.int16)]
            at += pieces[-1].size + pieces[-2].size
        clean = np.concatenate(pieces)
        noise = np.random.default_rng(0).normal(0, 10, clean.size).round().astype(np.int16)
        self.pcm: NDArray[np.int16] = clean + noise

    def __call__(self, index: int) -> NDArray[np.int16]:
        """What ffmpeg is fed with."""
        first = index % (self.pcm.size - FRAME_SAMPLES)
        return self.pcm[first : first + FRAME_SAMPLES]

    def lag(self, heard: NDArray[np.int16]) -> int:
        """At which 16 kHz sample of it `heard` begins."""
        source = to_rate(self.pcm, CLIP_RATE, SAMPLE_RATE).astype(np.float64)
        size = 1 << (source.size + heard.size).bit_length()
        product = np.fft.rfft(source, size) * np.conj(np.fft.rfft(heard.astype(np.float64), size))
        at = int(np.argmax(np.fft.irfft(product, size)))
        return at if at < source.size else at - size


@dataclass
class Heard:
    """Frames as they came: when, and how many samples each."""

    at: list[float] = field(default_factory=list)
    pcm: list[NDArray[np.int16]] = field(default_factory=list)

    def take(self, frame: AudioFrame) -> None:
        """From the event loop."""
        self.at.append(time.monotonic())
        self.pcm.append(frame.pcm)


class Chunked:
    """A listener to which sound comes in chunks; writes down when, and what."""

    def __init__(self, listener: Listener, chunk_ms: int, path: Path) -> None:
        self._listener, self._samples = listener, chunk_ms * SAMPLE_RATE // 1000
        self._path = path
        self._waiting: list[AudioFrame] = []
        self._heard = Heard()

    def event(self, event: PlatformEvent) -> None:
        """Passed on."""
        self._listener.event(event)

    def audio(self, frame: AudioFrame) -> None:
        """Passed on with those before it, once they are a chunk together."""
        self._waiting.append(frame)
        if sum(one.pcm.size for one in self._waiting) < self._samples:
            return
        for one in self._waiting:
            self._heard.take(one)
            self._listener.audio(one)
        self._waiting = []

    def save(self) -> None:
        """For the process that measures."""
        sizes = [piece.size for piece in self._heard.pcm]
        np.savez(self._path, at=self._heard.at, sizes=sizes, pcm=np.concatenate([*self._heard.pcm, np.zeros(0, "i2")]))


class ChunkedRtmp(Rtmp):
    """The platform, with `Chunked` between it and the bot."""

    async def attend(self, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
        """See `bot.platforms.base.Platform`."""
        chunked = Chunked(listener, int(os.environ["BENCH_CHUNK_MS"]), Path(os.environ["BENCH_HEARD"]))
        try:
            return await super().attend(invitation, chunked, orders)
        finally:
            chunked.save()


@dataclass
class Wire:
    """What passed between bot and transcriber, and when (monotonic seconds)."""

    sent: list[float] = field(default_factory=list)
    texts: list[tuple[float, str, bool]] = field(default_factory=list)
    """When, what, and whether it is complete."""

    async def relay(self, bot: ServerConnection, target: str) -> None:
        """One lane."""
        headers = {
            name: value
            for name, value in (bot.request.headers if bot.request else {}).items()
            if name == "Authorization"
        }
        async with dial(target, proxy=None, compression=None, additional_headers=headers, max_size=None) as server:

            async def answer() -> None:
                async for message in server:
                    now = time.monotonic()
                    if isinstance(message, str):
                        for segment in json.loads(message).get("segments", ()):
                            self.texts.append((now, segment["text"].strip(), bool(segment.get("completed"))))
                    await bot.send(message)
                await bot.close()

            answering = asyncio.create_task(answer())
            with suppress(ConnectionClosed):
                async for message in bot:
                    self.sent.append(time.monotonic())
                    await server.send(message)
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)


@asynccontextmanager
async def wire(target: str) -> AsyncIterator[tuple[Wire, str]]:
    """The proxy, and its URL."""
    seen = Wire()
    async with serve(lambda bot: seen.relay(bot, target), "127.0.0.1", 0, compression=None, max_size=None) as server:
        yield seen, f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def process(*arguments: str, log: Path, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of ours, ended in order."""
    with log.open("wb") as output:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
            env={**os.environ, **environment},
        )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.terminate()
        await child.communicate()


async def play_chunks(
    server: RtmpServer, speech: Speech, chunk_ms: int, transcriber: str, redis: str, folder: Path, video: bool = False
) -> dict[str, Any]:
    """All sentences once, through the whole chain."""
    stream = f"chunks{chunk_ms}{'picture' if video else ''}"
    heard_path = folder / f"{stream}.npz"
    publisher = Publisher(server.url(stream, "publish"), speech, video=video)
    async with wire(transcriber) as (seen, url):
        config = {
            "platform": "rtmp",
            "meetingUrl": server.url(stream),
            "rtmp": {"secret": server.secret},
            "connectionId": stream,
            "language": "en",
            "redisUrl": redis,
            "whisperLiveUrl": url,
            "automaticLeave": {"enabled": False},
        }
        environment = {
            "BENCH_CHUNK_MS": str(chunk_ms),
            "BENCH_HEARD": str(heard_path),
            "BOT_CONFIG": json.dumps(config),
        }
        load = os.getloadavg()[0]
        async with process("bench.roads_chain", log=folder / f"{stream}.log", **environment) as bot:
            await asyncio.sleep(3.0)
            try:
                await publisher.start()
                await asyncio.sleep(LEAD_S)
                before, begun = cpu_s(bot.pid), time.monotonic()
                await asyncio.sleep(speech.pcm.size / CLIP_RATE - LEAD_S + 2.0)
                after, seconds = cpu_s(bot.pid), time.monotonic() - begun
                memory = memory_mb(bot.pid)
            finally:
                await publisher.kill()
    cpu = sum(after[name] - before.get(name, 0.0) for name in after) / seconds
    finals = await stored(redis, stream)
    found = np.load(heard_path)
    stages = follow(speech, publisher.began, found, seen, finals)
    row = {"chunk_ms": chunk_ms, "video": video, "cpu": round(cpu, 4), "memory_mb": memory}
    return {**row, "load_before": load, "stages": stages}


def follow(
    speech: Speech, began: float, found: Any, seen: Wire, finals: list[tuple[float, dict[str, Any]]]
) -> list[dict[str, float]]:
    """Of each sentence that got one final: the seconds from its last sample to each stage."""
    wall = time.time() - time.monotonic()
    first = speech.lag(found["pcm"])
    ends = first + np.cumsum(found["sizes"])
    rows = []
    for sentence in speech.sentences:
        captured = began + sentence.end / CLIP_RATE
        own = [one for one in finals if abs(_until(one[1]) - wall - captured) < PAUSE_S / 2 + 0.3]
        index = int(np.searchsorted(ends, sentence.end / STEPS))
        if len(own) != 1 or index >= len(ends):
            continue
        published, text = own[0][0] - wall, own[0][1]["text"].strip()
        texts = [
            at for at, said, completed in seen.texts if completed and said == text and captured < at <= published + 0.05
        ]
        if not texts:
            continue
        heard = float(found["at"][index])
        sent = max((at for at in seen.sent if at < texts[0]), default=heard)
        rows.append(
            {
                "heard": heard - captured,
                "sent": sent - heard,
                "text": texts[0] - sent,
                "published": published - texts[0],
                "all": published - captured,
            }
        )
    return rows


def _until(segment: dict[str, Any]) -> float:
    return datetime.fromisoformat(segment["absolute_end_time"].replace("Z", "+00:00")).timestamp()


def main() -> None:
    """`earshot run` with `ChunkedRtmp` in the platform's place."""
    from bot.cli import main as bot_main
    from bot.platforms import PLATFORMS

    PLATFORMS["rtmp"] = "bench.roads_chain:ChunkedRtmp"
    sys.argv[1:] = ["run"]
    bot_main()


if __name__ == "__main__":
    main()
