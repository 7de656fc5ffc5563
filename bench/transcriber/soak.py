"""Clients that come and go for twenty minutes, then thousands of short ones: does our transcriber's memory grow?"""

from __future__ import annotations

import asyncio
import os
import random
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from bench.transcriber.audio import RATE, track
from bench.transcriber.driver import END_OF_AUDIO, Stream
from bench.transcriber.servers import VARIANTS, Server, running
from bench.transcriber.trend import trend

STREAMS = 4
SETTLED = 300.0
"""Seconds after which memory has to stay: by then every stream has had its longest utterances. They come on top."""
SETTLED_CLIENTS = 2000
"""The same for short clients. By then Python's lists of free tuples, at most 2,000 of each length, are full: the
messages of each pass add to some of them, in the model's process 0.4 MiB in all."""
BLOCK = 60.0
"""Seconds whose mean is one measurement."""
AT_ONCE = 2
"""Short clients at a time."""


def soak(core: int, minutes: float, connects: int) -> dict[str, Any]:
    """Server and clients share the core: memory is measured here, not time."""
    os.sched_setaffinity(0, {core})
    with running(VARIANTS["ours"], "demo", [core]) as server:
        watch = Watch(server)
        began = server.cpu(), time.monotonic()
        asyncio.run(_come_and_go(server.url, watch, SETTLED + 60 * minutes))
        long = watch.samples
        long_cpu = (server.cpu() - began[0]) / (time.monotonic() - began[1])
        watch.samples = []
        asyncio.run(_connect_often(server.url, watch, connects))
        short = watch.samples
    return {
        "minutes": minutes,
        "connects": connects,
        "settled_clients": settled_clients(connects),
        "streams": STREAMS,
        "finished": watch.finished,
        "cpu": round(long_cpu, 3),
        "long": [[round(at, 1), round(mib, 2)] for at, _, mib in long],
        "short": [[count, round(mib, 2)] for _, count, mib in short],
        "trends": trends(long, short),
    }


def trends(long: list[tuple[float, int, float]], short: list[tuple[float, int, float]]) -> dict[str, Any]:
    """MiB per hour, and MiB per 1,000 clients, each with its interval."""
    settled = [(at, mib) for at, _, mib in long if at >= SETTLED]
    blocks = max(4, round((settled[-1][0] - settled[0][0]) / BLOCK))
    per_hour = trend([at / 3600 for at, _ in settled], [mib for _, mib in settled], blocks)
    first = settled_clients(short[-1][1])
    used = [sample for sample in short if sample[1] > first]
    per_thousand = trend([count / 1000 for _, count, _ in used], [mib for _, _, mib in used], 18)
    return {
        name: {"slope": found.slope, "low": found.low, "high": found.high, "flat": found.is_flat}
        for name, found in (("mib_per_hour", per_hour), ("mib_per_1000_clients", per_thousand))
    }


def settled_clients(connects: int) -> int:
    """Short clients that do not count; a tenth where there are not enough."""
    return SETTLED_CLIENTS if connects >= 2 * SETTLED_CLIENTS else connects // 10


class Watch:
    """Memory over time and over clients."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._begin = time.monotonic()
        self.clients = 0
        self.finished = 0
        """Clients that were served to their end, or left on purpose."""
        self.samples: list[tuple[float, int, float]] = []
        """Seconds, clients so far, MiB."""

    def sample(self) -> None:
        """Takes one."""
        self.samples.append((time.monotonic() - self._begin, self.clients, self._server.memory()))

    async def each_second(self) -> None:
        """Until cancelled."""
        while True:
            self.sample()
            await asyncio.sleep(1.0)


async def _come_and_go(url: str, watch: Watch, seconds: float) -> None:
    sampling = asyncio.create_task(watch.each_second())
    end = time.monotonic() + seconds
    await asyncio.gather(*(_visitor(url, watch, index, end) for index in range(STREAMS)))
    sampling.cancel()


async def _visitor(url: str, watch: Watch, index: int, end: float) -> None:
    """Talks for 5 to 60 s, leaves; one time in four without END_OF_AUDIO."""
    dice = random.Random(index)
    while (left := end - time.monotonic()) > 5.0:
        seconds = min(left, dice.uniform(5.0, 60.0))
        stream = Stream(url, 10)
        visit = stream.run(track(dice.randrange(1 << 30), seconds, 1.0), time.monotonic())
        watch.clients += 1
        if dice.random() < 0.25:
            with suppress(TimeoutError):
                await asyncio.wait_for(visit, seconds / 2)
        else:
            await visit
        watch.finished += stream.log.problem is None
        await asyncio.sleep(min(dice.uniform(0.0, 3.0), max(0.0, end - time.monotonic())))


async def _connect_often(url: str, watch: Watch, connects: int) -> None:
    second = track(7, 10.0, 1.0).samples[RATE : 2 * RATE].tobytes()

    async def some(count: int) -> None:
        for _ in range(count):
            stream = Stream(url, 10)
            watch.clients += 1
            with suppress(ConnectionClosed, OSError):
                async with connect(url, compression=None) as socket:
                    if await stream.is_welcome(socket):
                        await socket.send(second)
                        await socket.send(END_OF_AUDIO)
                        async for _message in socket:
                            pass
                        watch.finished += 1
            watch.sample()

    watch.clients = 0
    await asyncio.gather(*(some(connects // AT_ONCE) for _ in range(AT_ONCE)))


RESULT = Path(__file__).parent / "raw" / "soak.json"
