"""A transcriber's process: what a thousand clients leave in it, and what a bot notices when all of it is frozen."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

import numpy as np
import pytest
from websockets.asyncio.client import connect

from common.whisperlive.protocol import EXTENSIONS, Acked, Handshake
from tests.support.fakes.scripted_engine import silence, tone
from tests.support.fakes.scripted_service import process
from tests.support.lanes import running_lane
from tests.support.transcribing import talking

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(60)]
WORDS = ["alpha", "bravo", "charlie", "delta", "echo", "alpha"]


def resident(pid: int) -> float:
    """A process's memory, megabytes."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * 4096 / 1e6


async def test_a_thousand_sessions_leave_no_memory_behind() -> None:
    """Half of them end in order, half in mid-word; what the first four hundred took is about all that is ever taken."""

    async def visit(url: str, number: int) -> None:
        async with connect(url, proxy=None, ping_interval=None, compression=None, close_timeout=2) as peer:
            await peer.send(Handshake(f"visitor-{number}", language="en").serialise())
            await peer.recv()
            await peer.send((tone("alpha", 0.9).astype("<f4") / 32768).tobytes())
            if number % 2:
                await peer.send(b"END_OF_AUDIO")
                async for _ in peer:
                    pass
            else:
                peer.transport.abort()

    async with process() as (running, url):
        sizes = []
        for first in range(0, 1410, 10):
            await asyncio.gather(*(visit(url, first + n) for n in range(10)))
            if first >= 400 and first % 200 == 0:
                sizes.append(resident(running.pid))
        slope = float(np.polyfit(np.arange(len(sizes)) * 200, sizes, 1)[0]) * 1000
        assert sizes[-1] - sizes[0] < 8, f"{sizes} MB, {slope:.2f} MB per 1,000 clients"
        async with talking(url, Handshake("next", language="en", extensions=EXTENSIONS)) as client:
            await client.say(tone("echo"))
            await client.acked(await client.end_utterance())
            assert client.text == ["echo"]


async def test_twenty_streams_that_talk_get_their_last_words_when_it_stops() -> None:
    """SIGTERM in the middle of a word each: what was heard of it is a final, acknowledged, and the process ends."""
    async with process() as (running, url), contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(talking(url, Handshake(f"s{n}", language="en", extensions=EXTENSIONS)))
            for n in range(20)
        ]
        for word in WORDS[:2]:
            for client in clients:
                await client.say(tone(word, 0.4))
            ends = [await client.end_utterance() for client in clients]
        for number, client in enumerate(clients):
            await client.say(tone(WORDS[2], 0.3 + 0.02 * number))
        await asyncio.gather(*(client.acked(end, timeout=15) for client, end in zip(clients, ends, strict=True)))
        await asyncio.sleep(0.5)  # the last of it has arrived
        running.send_signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            assert await asyncio.gather(*(client.rest() for client in clients)) == [1001] * 20
            assert await running.wait() == 0
        assert [client.text for client in clients] == [WORDS[:3]] * 20
        last = [event.sample for client in clients for event in client.events[-1:] if isinstance(event, Acked)]
        assert last == [client.protocol.sent_until for client in clients]


async def test_a_frozen_transcriber_is_noticed_and_its_old_session_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SIGSTOP in mid-word, SIGCONT after the bot has given it up: every word once, in order."""
    monkeypatch.setattr("bot.links.transcriber.dialing.PING_INTERVAL_S", 0.5)
    monkeypatch.setattr("bot.links.transcriber.dialing.SILENT_LINE_S", 1.0)
    monkeypatch.setattr("bot.links.transcriber.dialing.OPEN_TIMEOUT_S", 1.0)
    async with process() as (frozen, url), running_lane(url, last_backoff=0.2) as (lane, notes):
        for number, word in enumerate(WORDS):
            pcm = np.concatenate([tone(word, 0.5), silence(0.2)])
            for first in range(0, len(pcm), 1600):
                lane.append(pcm[first : first + 1600])
                await asyncio.sleep(0.1)
                if (number, first) == (1, 3200):
                    frozen.send_signal(signal.SIGSTOP)
                    frozen_at = asyncio.get_running_loop().time()
            lane.end_utterance()
            if number == 4:
                frozen.send_signal(signal.SIGCONT)
        async with asyncio.timeout(20):
            await lane.settled()
    assert notes.finals == WORDS
    assert (notes.links[0], notes.links[-1]) == (False, True)
    assert (
        notes.health[0][2] - frozen_at < 4
    )  # a ping's turn, its timeout, a second for the goodbye; and a busy machine
    with contextlib.suppress(ProcessLookupError):
        frozen.send_signal(signal.SIGCONT)
