"""Ten honest streams while others misbehave: `python -m bench.flood` writes flood.md and flood.json.

A real transcriber with the demo model on a core of its own, ten clients that speak in real time, and one kind of abuse
after the other from a third process. An honest client does as our bot, 0.45 s after somebody stopped speaking: it says
that the utterance is over. Its latency is from the end of the speech to the final.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import itertools
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from bench.transcriber.audio import sentences
from bench.transcriber.cells import prefer
from bench.transcriber.servers import VARIANTS, running
from common.whisperlive.protocol import EXTENSIONS, Acked, ClientProtocol, Handshake, Samples, Segments

HERE = Path(__file__).parent
RAW = HERE / "flood.json"
HONEST = 10
FRAME = 1600
HANGOVER = 0.45
ELSEWHERE: dict[str, Any] = {
    "local_addr": ("127.0.0.2", 0), "compression": None, "ping_interval": None, "proxy": None,
}  # fmt: skip
GONE = (OSError, ConnectionClosed, InvalidHandshake, TimeoutError, EOFError)


@functools.cache
def clips() -> list[tuple[str, Samples, float]]:
    """Sentences: text, int16 at 16 kHz, shape (n,), and the second at which the speech in it ends."""
    return [(said.text, (32767 * samples).astype(np.int16), said.end) for samples, said in sentences().values()]


# --- the honest ----------------------------------------------------------------------------------------------------


@dataclass
class Heard:
    """What ten clients got."""

    latencies: list[float] = field(default_factory=list)
    wrong: int = 0
    """Utterances without a final, or with other words than what was said."""
    joins: list[float] = field(default_factory=list)
    """Seconds that newcomers took until the server was ready for them."""
    shut_out: int = 0
    """Newcomers who did not get in within 5 s."""


async def honest(url: str, number: int, seconds: float, heard: Heard) -> None:
    """One client: sentence after sentence, each sent as it is spoken."""
    spoken = clips()
    await asyncio.sleep(number * 0.37)
    async with connect(url, compression=None, ping_interval=None, proxy=None) as socket:
        protocol = ClientProtocol(Handshake(f"honest-{number}", language="en", extensions=EXTENSIONS))
        await socket.send(protocol.hello())
        while not protocol.ready:
            protocol.receive(await socket.recv())
        end = time.monotonic() + seconds
        due = time.monotonic()
        for n in itertools.count(number):
            if time.monotonic() > end:
                return
            text, samples, end_of_speech = spoken[n % len(spoken)]
            sound = np.pad(samples, (0, FRAME * 6))[: round((end_of_speech + HANGOVER) * 16_000)]
            said = due + end_of_speech
            for first in range(0, len(sound), FRAME):
                frame = sound[first : first + FRAME]
                due += len(frame) / 16_000
                await asyncio.sleep(due - time.monotonic())
                await socket.send(protocol.audio(frame))
            await socket.send(protocol.end_utterance(protocol.sent_until))
            got = await _final(socket, protocol)
            heard.latencies.append(time.monotonic() - said)
            heard.wrong += got != text
            due = max(due, time.monotonic()) + 0.4
            await asyncio.sleep(due - time.monotonic())


async def newcomers(url: str, seconds: float, heard: Heard) -> None:
    """Somebody comes every second and leaves again."""
    for number in range(round(seconds)):
        began = time.monotonic()
        try:
            async with asyncio.timeout(5), connect(url, compression=None, ping_interval=None, proxy=None) as socket:
                await _opened(socket, f"newcomer-{number}")
                heard.joins.append(time.monotonic() - began)
        except GONE:
            heard.shut_out += 1
        await asyncio.sleep(max(0.0, began + 1 - time.monotonic()))


async def _final(socket: ClientConnection, protocol: ClientProtocol) -> str:
    """Reads until everything is decided: the completed text."""
    texts: dict[str | None, str] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(20):
            while True:
                for event in protocol.receive(await socket.recv()):
                    if isinstance(event, Segments):
                        texts |= {s.segment_id: s.text.strip() for s in event.segments if s.completed}
                    if isinstance(event, Acked) and event.sample >= protocol.sent_until:
                        return " ".join(texts.values())
    return ""


# --- the others ----------------------------------------------------------------------------------------------------


async def loris(url: str, number: int) -> None:
    """Connects and says nothing, or a header letter by letter; comes again when it is sent away."""
    host, _, port = url.removeprefix("ws://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), local_addr=ELSEWHERE["local_addr"])
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n" if number % 2 else b"")
        while number % 2 and not reader.at_eof():
            writer.write(b"X-A: b\r\n")
            with suppress(TimeoutError):
                await asyncio.wait_for(reader.read(4096), 1)
        while await reader.read(4096):
            pass
    finally:
        writer.transport.abort()
    await asyncio.sleep(1)


async def churn(url: str, number: int) -> None:
    """Opens a session and is gone."""
    async with connect(url, **ELSEWHERE) as socket:
        await socket.send(Handshake(f"churn-{number}", language="en", extensions=EXTENSIONS).serialise())
        await socket.recv()
        socket.transport.abort()


async def hurried(url: str, number: int) -> None:
    """Speech at ten times real time, in one utterance after the other."""
    async with connect(url, **ELSEWHERE) as socket:
        protocol = await _opened(socket, f"hurried-{number}")
        reading = asyncio.create_task(_read(socket))
        try:
            for _, samples, _ in itertools.cycle(clips()):
                for first in range(0, len(samples), FRAME):
                    await socket.send(protocol.audio(samples[first : first + FRAME]))
                    await asyncio.sleep(FRAME / 16_000 / 10)
                await socket.send(protocol.end_utterance(protocol.sent_until))
        finally:
            reading.cancel()


async def chatter(url: str, number: int) -> None:
    """Tiny messages as fast as the socket takes them."""
    async with connect(url, **ELSEWHERE) as socket:
        protocol = await _opened(socket, f"chatter-{number}")
        reading = asyncio.create_task(_read(socket))
        try:
            while True:
                await socket.send(protocol.audio(np.zeros(1, np.int16)))
                await socket.send(protocol.end_utterance(protocol.sent_until))
        finally:
            reading.cancel()


async def malformed(url: str, number: int) -> None:
    """Nonsense until it is sent away, again and again."""
    rng = random.Random(number)
    async with connect(url, **ELSEWHERE) as socket:
        await _opened(socket, f"malformed-{number}")
        while True:
            nonsense: list[str | bytes] = ["[" * 5000, b"odd", "{}", rng.randbytes(99_999)]
            await socket.send(rng.choice(nonsense))


async def deaf(url: str, number: int) -> None:
    """Speaks in real time, and reads nothing."""
    async with connect(url, **ELSEWHERE) as socket:
        protocol = await _opened(socket, f"deaf-{number}")
        socket.transport.pause_reading()
        for _, samples, _ in itertools.cycle(clips()):
            for first in range(0, len(samples), FRAME):
                await socket.send(protocol.audio(samples[first : first + FRAME] // 64))
                await asyncio.sleep(FRAME / 16_000)
            await socket.send(protocol.end_utterance(protocol.sent_until))


async def pings(url: str, number: int) -> None:
    """Pings as fast as the socket takes them."""
    await _pour(url, f"pings-{number}", b"", b"\x89\x80\0\0\0\0")


async def fragments(url: str, number: int) -> None:
    """One message in empty fragments, without an end."""
    await _pour(url, f"fragments-{number}", b"\x02\x80\0\0\0\0", b"\x00\x80\0\0\0\0")


async def samples(url: str, number: int) -> None:
    """One sample of audio in each message."""
    await _pour(url, f"samples-{number}", b"", b"\x82\x82\0\0\0\0\0\0")


async def verbose(url: str, number: int) -> None:
    """Speaks in real time, with a prompt of a megabyte."""
    async with connect(url, **ELSEWHERE) as socket:
        protocol = await _opened(socket, f"verbose-{number}", "agenda " * 140_000)
        reading = asyncio.create_task(_read(socket))
        try:
            for _, samples, _ in itertools.cycle(clips()):
                for first in range(0, len(samples), FRAME):
                    await socket.send(protocol.audio(samples[first : first + FRAME]))
                    await asyncio.sleep(FRAME / 16_000)
                await socket.send(protocol.end_utterance(protocol.sent_until))
        finally:
            reading.cancel()


async def _pour(url: str, uid: str, first: bytes, frame: bytes) -> None:
    """Sends this frame for ever, past the library, which would wait for answers; reads the answers."""
    async with connect(url, **ELSEWHERE) as socket:
        await _opened(socket, uid)
        reading = asyncio.create_task(_read(socket))
        try:
            socket.transport.write(first)
            while not socket.transport.is_closing():
                if socket.transport.get_write_buffer_size() < 1 << 18:
                    socket.transport.write(1000 * frame)
                await asyncio.sleep(0.001)
        finally:
            reading.cancel()


async def _opened(socket: ClientConnection, uid: str, prompt: str | None = None) -> ClientProtocol:
    protocol = ClientProtocol(Handshake(uid, language="en", extensions=EXTENSIONS, initial_prompt=prompt))
    await socket.send(protocol.hello())
    while not protocol.ready:
        protocol.receive(await socket.recv())
    return protocol


async def _read(socket: ClientConnection) -> None:
    with suppress(ConnectionClosed):
        async for _ in socket:
            pass


@dataclass(frozen=True)
class Abuse:
    """One kind of it."""

    title: str
    client: Callable[[str, int], Awaitable[None]] | None
    count: int = 0
    pause: float = 0.0
    """Seconds before a client that was sent away comes again."""


ABUSES = {
    "baseline": Abuse("nobody else", None),
    "loris": Abuse("1,000 connections that never get past their headers", loris, 1000),
    "churn": Abuse("sessions opened and dropped, 20 at a time without a pause", churn, 20),
    "hurried": Abuse("one client that speaks ten times too fast", hurried, 1),
    "chatter": Abuse("8 clients with tiny messages as fast as they go", chatter, 8),
    "malformed": Abuse("8 clients with nonsense, back as soon as they are sent away", malformed, 8),
    "pings": Abuse("4 clients with pings as fast as they go, back as soon as they are sent away", pings, 4),
    "fragments": Abuse("4 clients with a message in empty fragments without an end", fragments, 4),
    "samples": Abuse("4 clients with a message for each sample, as fast as they go", samples, 4),
    "verbose": Abuse("4 clients that speak, with prompts of a megabyte", verbose, 4),
    "deaf": Abuse("5 clients that speak and read nothing", deaf, 5),
}


async def misbehave(url: str, abuse: Abuse) -> None:
    """Until killed."""

    async def again(number: int) -> None:
        while abuse.client:
            with suppress(*GONE):
                await abuse.client(url, number)
            await asyncio.sleep(abuse.pause)

    async with asyncio.TaskGroup() as tasks:
        for number in range(abuse.count):
            tasks.create_task(again(number))
        await asyncio.Event().wait()


# --- measuring -----------------------------------------------------------------------------------------------------


def measure(key: str, cores: list[int], seconds: float) -> dict[str, Any]:
    """One fresh server, ten honest clients and one kind of abuse."""
    with running(VARIANTS["ours"], "demo", cores[:1]) as server:
        heard = Heard()
        cpu, began = server.cpu(), time.monotonic()
        asyncio.run(_all(server.url, key, cores[2], seconds, heard))
        cpu, took = server.cpu() - cpu, time.monotonic() - began
        memory = server.memory()
    late = np.percentile(heard.latencies, [50, 95, 99]).round(4).tolist()
    join = float(np.percentile(heard.joins, 95)) if heard.joins else float("nan")
    row = {"abuse": key, "finals": len(heard.latencies), "wrong": heard.wrong, "p50": late[0], "p95": late[1],
           "p99": late[2], "joined": len(heard.joins), "shut_out": heard.shut_out, "join_p95": round(join, 4),
           "cpu": round(cpu / took, 3), "memory_mib": round(memory, 1)}  # fmt: skip
    print(row, flush=True)
    return row


async def _all(url: str, key: str, core: int, seconds: float, heard: Heard) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(HONEST):
            tasks.create_task(honest(url, number, seconds, heard))
        await asyncio.sleep(0.37 * HONEST)
        last = f"taskset -c {core} nice -n 20".split()  # after everybody else
        command = [*last, sys.executable, "-m", "bench.flood", "--url", url]
        others = await asyncio.create_subprocess_exec(*command, "--abuse", key)
        try:
            await asyncio.sleep(1)
            heard.latencies.clear()
            await newcomers(url, seconds - 0.37 * HONEST - 2, heard)
        finally:
            others.kill()
            await others.wait()


def compare(key: str, cores: list[int], seconds: float) -> dict[str, Any]:
    """With and, just before, without: what else the machine does changes with time."""
    alone = measure("baseline", cores, seconds)
    return measure(key, cores, seconds) | {"alone": alone}


def report(rows: list[dict[str, Any]], seconds: float) -> str:
    """flood.md."""
    lines = [
        "# Honest streams among others that misbehave",
        "",
        "Generated by `python -m bench.flood`; raw numbers in `flood.json`. Do not edit.",
        "",
        f"{HONEST} streams that speak in real time (demo model, all of the transcriber on one core), {seconds:g} s for",
        "each kind of abuse, which comes from another address, and as long without it before. Latency: from the end of",
        "speech to the final, which is asked for 0.45 s after that end (our bot: 0.32 s). wrong: finals lost, or with",
        "other words than what was said. joins: newcomers, one a second, of those how many were not ready within 5 s,",
        "and the 95th percentile of the others. Rows during which the host was busy were measured again (`--only`).",
        "",
        "| Others | finals | wrong | p50 / p95 / p99 ms | alone | p95 ratio | joins | shut out | p95 | CPU | MiB |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        late, alone = (
            " / ".join(f"{1000 * one[key]:.0f}" for key in ("p50", "p95", "p99")) for one in (row, row["alone"])
        )
        cells = (
            ABUSES[row["abuse"]].title, row["finals"], row["wrong"], late, alone,
            f"{row['p95'] / row['alone']['p95']:.2f}", row["joined"] + row["shut_out"], row["shut_out"],
            f"{1000 * row['join_p95']:.0f}", f"{row['cpu']:.0%}", f"{row['memory_mib']:.0f}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.flood", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=30, help="for each kind of abuse")
    parser.add_argument("--cores", default="0,1,2", help="of the server, the honest, the others")
    parser.add_argument(
        "--only", nargs="*", choices=list(ABUSES), help="measures these again, and keeps the other rows"
    )
    parser.add_argument("--abuse", choices=list(ABUSES), help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.abuse:
        asyncio.run(misbehave(options.url, ABUSES[options.abuse]))
        return
    cores = [int(core) for core in options.cores.split(",")]
    prefer(cores[1])
    kept = json.loads(RAW.read_text())["rows"] if options.only else []
    found = {row["abuse"]: row for row in kept}
    found |= {key: compare(key, cores, options.seconds) for key in options.only or ABUSES if ABUSES[key].client}
    rows = [found[key] for key in ABUSES if key in found]
    RAW.write_text(json.dumps({"seconds": options.seconds, "rows": rows}, indent=1) + "\n")
    (HERE / "flood.md").write_text(report(rows, options.seconds), encoding="utf-8")


if __name__ == "__main__":
    main()
