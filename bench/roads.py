"""RTMP, stage by stage: `make bench-roads` writes roads.md and roads.json.

A real nginx-rtmp, as docker/rtmp configures it, into which ffmpeg publishes speech in real time. First each of FFmpeg's
options, with our driver alone; then the whole chain, with sound handed on in chunks of several sizes: `earshot run` in
a process of its own, our transcriber with the demo model, redis-server, and between bot and transcriber a proxy that
notes when what passed. Ten minutes; close everything else before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import connect as dial
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from bench.livekit import cpu_s, memory_mb
from bot.audio.frame import AudioFrame
from bot.core.events import PlatformEvent
from bot.drivers.rtmp import LOW_LATENCY, PullOptions, pull, pulling
from bot.platforms.base import Invitation, Listener
from bot.platforms.orders import Orders
from bot.platforms.rtmp import Rtmp
from common.audio.pcm import SAMPLE_RATE
from common.contracts import keys
from common.contracts.status import SubCode
from common.redis import connect
from rehearsal.clips import CLIP_RATE, load_clip, manifest, to_rate
from rehearsal.embedded_redis import EmbeddedRedis
from tests.support.servers.rtmp import FRAME_SAMPLES, Publisher, RtmpServer, rtmp_server

HERE = Path(__file__).parent
PAUSE_S = 1.4
"""Between two sentences: longer than a final takes."""
LEAD_S = 2.0
"""Of a publication before anybody plays it."""
WINDOW_S = 10.0
"""For which each set of options is looked at."""
CHUNKS_MS = (20, 100, 200)
STEPS = CLIP_RATE // SAMPLE_RATE
AAC = ("-c:a", "aac", "-b:a", "128k", "-ac", "2")
PCM = ("-c:a", "pcm_s16le", "-ar", "44100", "-ac", "2")
"""Without an encoder's delay: what is left is the road's."""
OPTIONS: dict[str, PullOptions] = {
    "all of them (what the bot does)": LOW_LATENCY,
    "without quick_ack": replace(LOW_LATENCY, quick_ack=False),
    "without tcp_nodelay": replace(LOW_LATENCY, no_delay=False),
    "without both": replace(LOW_LATENCY, no_delay=False, quick_ack=False),
    "without nobuffer": replace(LOW_LATENCY, no_buffer=False),
    "without low_delay": replace(LOW_LATENCY, low_delay=False),
    "default probesize": replace(LOW_LATENCY, probe_bytes=None),
    "default analyzeduration": replace(LOW_LATENCY, analyze_us=None),
    "default probing, nobuffer": replace(LOW_LATENCY, probe_bytes=None, analyze_us=None),
    "none of them": PullOptions(False, False, False, False, None, None),
}


# --- what is said -----------------------------------------------------------------------------------------------------


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


# --- options: our driver alone ----------------------------------------------------------------------------------------


@dataclass
class Heard:
    """Frames as they came: when, and how many samples each."""

    at: list[float] = field(default_factory=list)
    pcm: list[NDArray[np.int16]] = field(default_factory=list)

    def take(self, frame: AudioFrame) -> None:
        """From the event loop."""
        self.at.append(time.monotonic())
        self.pcm.append(frame.pcm)


async def try_options(
    server: RtmpServer, speech: Speech, options: PullOptions, video: bool, codec: tuple[str, ...] = AAC
) -> dict[str, Any]:
    """One set of options, on a publication that goes on: how soon it is heard, and how late."""
    stream = f"options{time.monotonic_ns()}"
    publisher = Publisher(server.url(stream, "publish"), speech, video=video, codec=codec)
    await publisher.start()
    heard = Heard()
    try:
        await asyncio.sleep(LEAD_S)
        spent, begun = time.process_time(), time.monotonic()
        playing = asyncio.create_task(pull(server.url(stream, "play"), "t", heard.take, options=options))
        await asyncio.sleep(WINDOW_S)
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        spent = time.process_time() - spent
    finally:
        await publisher.kill()
    if not heard.at:
        return {"first_ms": None}
    pcm = np.concatenate(heard.pcm)
    first = speech.lag(pcm)
    ends = first + np.cumsum([piece.size for piece in heard.pcm])
    handed = publisher.began + np.ceil(ends * STEPS / FRAME_SAMPLES) * FRAME_SAMPLES / CLIP_RATE
    late = (np.array(heard.at) - handed) * 1000
    steady = late[len(late) // 2 :]
    return {
        "first_ms": round((heard.at[0] - begun) * 1000),
        "first_age_ms": round(float(late[0])),
        "unheard_ms": round((publisher.began + first / SAMPLE_RATE - begun) * 1000),
        "p50_ms": round(float(np.percentile(steady, 50)), 1),
        "p95_ms": round(float(np.percentile(steady, 95)), 1),
        "cpu": round(spent / WINDOW_S, 4),
    }


# --- chunks: the whole chain ------------------------------------------------------------------------------------------


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
        async with process("bench.roads", "--bot", log=folder / f"{stream}.log", **environment) as bot:
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


async def stored(redis: str, uid: str) -> list[tuple[float, dict[str, Any]]]:
    """When Redis stored each final of this bot, by its own clock (Unix seconds), and the segment."""
    client = connect(redis)
    try:
        entries: Any = await client.xrange(keys.SEGMENT_STREAM)
    finally:
        await client.aclose()
    found = []
    for number, fields in entries:
        payload = json.loads(fields["payload"])
        if payload["uid"] == uid:
            found += [(int(number.partition("-")[0]) / 1000, segment) for segment in payload.get("segments", ())]
    return found


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


# --- the report -------------------------------------------------------------------------------------------------------

STAGES = {
    "heard": "captured → heard by the bot: ffmpeg's encoder, nginx, decoder, chunk",
    "sent": "heard → its end sent: the speech gate's pause (0.38 s)",
    "text": "sent → final text from the transcriber",
    "published": "text → stored in Redis",
    "all": "all together",
}


def column(row: dict[str, Any]) -> str:
    """Of one way through the whole chain."""
    return f"{row['chunk_ms']} ms{', and a picture' if row['video'] else ''}"


def percentile(values: list[float], percent: int) -> float:
    """Of seconds."""
    return float(np.percentile(values, percent)) if values else float("nan")


def report(raw: dict[str, Any]) -> str:
    """roads.md."""
    lines = [
        "# RTMP, stage by stage",
        "",
        "Generated by `make bench-roads`; raw numbers in `roads.json`. Do not edit.",
        "",
        "ffmpeg publishes speech in real time (AAC 128 kb/s, 48 kHz stereo; with a picture: H.264 320x180, 15/s) to",
        "the nginx-rtmp of docker/rtmp. Latency: from when a sample was handed to ffmpeg to when the bot has it.",
        "",
        "## FFmpeg's options, one by one",
        "",
        "`rtmp_live=live` always. Open → first sound: from the call to the first frame, while the publication goes on.",
        "Its age: how long ago it was said. A reorder queue is an option of RTP alone: TCP keeps the order.",
        "",
        "| options | in the stream | open → first sound, ms | its age, ms | then p50 / p95, ms |",
        "|---|---|---|---|---|",
    ]
    for row in raw["options"]:
        what = "sound and picture" if row["video"] else "sound"
        if row["first_ms"] is None:
            lines.append(f"| {row['options']} | {what} | none in {WINDOW_S:g} s | — | — |")
            continue
        steady = f"{row['p50_ms']:.0f} / {row['p95_ms']:.0f}"
        lines.append(f"| {row['options']} | {what} | {row['first_ms']} | {row['first_age_ms']} | {steady} |")
    lines += [
        "",
        "## Chunks, and each stage",
        "",
        f"{len(manifest())} sentences of about 2 s, {PAUSE_S} s apart; times are from the last sample of",
        "each one's speech. Nobody reports who speaks: where somebody does, finals wait until that is certain (1 s).",
        "Means add up.",
        "",
        "| stage, ms: mean (p95) | " + " | ".join(map(column, raw["chunks"])) + " |",
        "|---|" + "---|" * len(raw["chunks"]),
    ]
    for name, words in STAGES.items():
        cells = []
        for row in raw["chunks"]:
            values = [stages[name] * 1000 for stages in row["stages"]]
            cells.append(f"{statistics.fmean(values):.0f} ({percentile(values, 95):.0f})" if values else "—")
        lines.append(f"| {words} | " + " | ".join(cells) + " |")
    middle = [percentile([stages["all"] * 1000 for stages in row["stages"]], 50) for row in raw["chunks"]]
    lines.append("| all together, median | " + " | ".join(f"{value:.0f}" for value in middle) + " |")
    lines.append("| sentences with one final | " + " | ".join(str(len(row["stages"])) for row in raw["chunks"]) + " |")
    lines.append("| CPU of the bot, % of a core | " + " | ".join(f"{row['cpu']:.1%}" for row in raw["chunks"]) + " |")
    lines.append(
        "| memory of the bot, MB | " + " | ".join(f"{row['memory_mb']['rss']:.0f}" for row in raw["chunks"]) + " |"
    )
    lines += ["", "| Target | measured | holds |", "|---|---|---|"]
    for target, value, unit, holds in targets(raw):
        lines.append(f"| {target} | {value:.0f} {unit} | {'yes' if holds else '**no**'} |")
    lines += ["", *(f"* {key}: {value}" for key, value in raw["machine"].items()), ""]
    return "\n".join(lines)


def targets(raw: dict[str, Any]) -> list[tuple[str, float, str, bool]]:
    """Target, measured, unit, whether it holds."""
    sound = next(row for row in raw["options"] if not row["video"] and row["options"].startswith("all"))
    rows: list[tuple[str, float, str, bool]] = [
        ("open → first sound ≤ 300 ms", sound["first_ms"], "ms", sound["first_ms"] <= 300),
        ("steady latency ≤ 60 ms (median)", sound["p50_ms"], "ms", sound["p50_ms"] <= 60),
    ]
    own = next((row for row in raw["chunks"] if row["chunk_ms"] == CHUNKS_MS[0]), None)
    if own:
        slow = percentile([stages["all"] * 1000 for stages in own["stages"]], 95)
        rows.append(("end of speech → final in Redis, p95 ≤ 800 ms", slow, "ms", slow <= 800))
    return rows


def machine(loads: list[float]) -> dict[str, str]:
    """On what this was measured."""
    info = Path("/proc/cpuinfo").read_text()
    name = re.search(r"model name\s*: (.*)", info)
    return {
        "cpu": f"{name[1] if name else 'unknown'}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "load average when each part began": ", ".join(f"{load:.1f}" for load in loads),
    }


async def run(parts: set[str], only: Callable[[str], bool], chunks: Sequence[int]) -> dict[str, Any]:
    """Everything."""
    speech, loads = Speech(), [os.getloadavg()[0]]
    raw: dict[str, Any] = {"options": [], "chunks": []}
    async with rtmp_server() as server:
        if "options" in parts:
            rows = [(name, options, video, AAC) for name, options in OPTIONS.items() for video in (False, True)]
            rows.insert(1, ("all of them, PCM instead of AAC", LOW_LATENCY, False, PCM))
            for name, options, video, codec in rows:
                if only(name):
                    row = {
                        "options": name,
                        "video": video,
                        **await try_options(server, speech, options, video, codec),
                    }
                    raw["options"].append(row)
                    print(json.dumps(row), flush=True)
        with tempfile.TemporaryDirectory(prefix="earshot-roads-") as name:
            folder = Path(name)
            if "chunks" in parts:
                arguments = ("transcriber", "--model", "demo", "--port", "0", "--http-port", "0")
                async with EmbeddedRedis() as redis, process(*arguments, log=folder / "transcriber.log") as child:
                    assert child.stdout is not None
                    async for line in child.stdout:
                        if b"ws://" in line:
                            break
                    url = line.decode().strip()
                    for chunk_ms, video in [(chunk_ms, False) for chunk_ms in chunks] + [(chunks[0], True)]:
                        target = url[url.index("ws://") :]
                        row = await play_chunks(server, speech, chunk_ms, target, redis, folder, video)
                        raw["chunks"].append(row)
                        loads.append(row["load_before"])
                        print(json.dumps(row)[:300], flush=True)
    return raw | {"machine": machine(loads)}


def main() -> None:
    """See the module."""
    if sys.argv[1:] == ["--bot"]:
        from bot.cli import main as bot_main
        from bot.platforms import PLATFORMS

        PLATFORMS["rtmp"] = "bench.roads:ChunkedRtmp"
        sys.argv[1:] = ["run"]
        bot_main()
        return
    pulling.OPEN_TIMEOUT_S = 2 * WINDOW_S  # FFmpeg's own probing takes longer than the bot would wait
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", default=["options", "chunks"], choices=["options", "chunks"])
    parser.add_argument("--only", default="", help="sets of options whose name has this in it")
    parser.add_argument("--chunks", nargs="+", type=int, default=CHUNKS_MS, help="milliseconds")
    parser.add_argument("--out", type=Path, default=HERE, help="where roads.json and roads.md are written")
    asked = parser.parse_args()
    kept = json.loads((asked.out / "roads.json").read_text()) if (asked.out / "roads.json").exists() else {}
    raw = asyncio.run(run(set(asked.parts), lambda name: asked.only in name, asked.chunks))
    raw = {key: raw[key] or kept.get(key, []) for key in ("options", "chunks")} | {"machine": raw["machine"]}
    (asked.out / "roads.json").write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    (asked.out / "roads.md").write_text(report(raw), encoding="utf-8")


if __name__ == "__main__":
    main()
