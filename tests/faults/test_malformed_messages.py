"""10,000 malformed websocket messages to a transcriber's process: answers, closes, flat memory, unharmed neighbours."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from common.whisperlive.protocol import EXTENSIONS, Handshake
from tests.support.chain import footprint
from tests.support.fakes.scripted_engine import tone
from tests.support.fakes.scripted_service import process
from tests.support.measures import note
from tests.support.seeds import FULL
from tests.support.transcribing import Client, talking

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(180)]
COUNT = 10_000 if FULL else 2_000
AT_ONCE = 8
ELSEWHERE: dict[str, Any] = {"proxy": None, "ping_interval": None, "compression": None, "local_addr": ("127.0.0.2", 0)}
GONE = (OSError, ConnectionClosed, InvalidHandshake, TimeoutError, EOFError)
WORDS = ["alpha", "bravo", "charlie", "delta"]


def malformed(chance: random.Random) -> str | bytes:
    """One of many kinds."""
    good = json.loads(Handshake("u", language="en", extensions=EXTENSIONS).serialise())
    match chance.randrange(10):
        case 0:
            return chance.randbytes(chance.randrange(1, 999) | 1)
        case 1:
            return np.array([0, chance.choice([np.nan, np.inf, -np.inf, 1e30])], "<f4").tobytes()[:-1]
        case 2:
            return "[" * chance.randrange(1, 50_000)
        case 3:
            return json.dumps(good | {chance.choice([*good]): chance.choice([None, [], {}, -1, 1e300, "x" * 5000])})
        case 4:
            text = Handshake("u", language="en").serialise()
            return text[: chance.randrange(len(text))]
        case 5:
            return "".join(chr(chance.randrange(1, 0x2FFF)) for _ in range(chance.randrange(1, 300)))
        case 6:
            return json.dumps(
                {"utterance": chance.choice(["end", "begin", 5]), "sample": chance.choice([-1, 1e99, "x"])}
            )
        case 7:
            return b"END_OF_AUDI" + chance.randbytes(1)
        case 8:
            return json.dumps(chance.choice([None, 1, [], "text", {"a": {"b": [1e308] * 50}}]))
        case _:
            return "{" + '"k":1,' * chance.randrange(1, 3000) + '"k":1}'


async def nuisance(url: str, chance: random.Random, left: Counter[str]) -> None:
    """Connects, greets in half of all cases, sends nonsense until it is sent away; again and again."""
    while left["messages"] > 0:
        with contextlib.suppress(*GONE):
            async with asyncio.timeout(10), connect(url, **ELSEWHERE) as peer:
                if chance.random() < 0.5:
                    await peer.send(Handshake("bad", language="en", extensions=EXTENSIONS).serialise())
                for _ in range(30):
                    left["messages"] -= 1
                    await peer.send(malformed(chance))
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(peer.recv(), 0.005)
                peer.transport.abort()


async def speak_until(client: Client, over: asyncio.Event) -> int:
    """An utterance after the other; how many words."""
    count = 0
    while not over.is_set():
        for word in WORDS:
            await client.say(tone(word, 0.4))
            await client.acked(await client.end_utterance(), timeout=20)
        count += len(WORDS)
    return count


async def test_ten_thousand_malformed_messages_harm_nobody(seed: int) -> None:
    """Two neighbours get every word meanwhile; the process has what it had before, and serves the next one."""
    chance = random.Random(seed)
    async with process() as (running, url):
        honest = Handshake("honest", language="en", extensions=EXTENSIONS)
        left = Counter(messages=COUNT // 10)
        await asyncio.gather(*(nuisance(url, chance, left) for _ in range(AT_ONCE)))  # until all is warm
        before = footprint(running.pid)
        async with (
            talking(url, honest) as one,
            talking(url, Handshake("too", language="en", extensions=EXTENSIONS)) as two,
        ):
            over = asyncio.Event()
            speaking = [asyncio.create_task(speak_until(client, over)) for client in (one, two)]
            left = Counter(messages=COUNT)
            await asyncio.gather(*(nuisance(url, chance, left) for _ in range(AT_ONCE)))
            over.set()
            counts = await asyncio.gather(*speaking)
            assert [client.text for client in (one, two)] == [WORDS * (count // len(WORDS)) for count in counts]
        now = footprint(running.pid)
        async with talking(url, Handshake("next", language="en", extensions=EXTENSIONS)) as client:
            await client.say(tone("echo"))
            await client.acked(await client.end_utterance())
            assert client.text == ["echo"]
    note("test_ten_thousand_malformed_messages_harm_nobody", seed, messages=COUNT, grown_mb=now.memory - before.memory,
         words=sum(counts))  # fmt: skip
    assert now.memory - before.memory < 5
