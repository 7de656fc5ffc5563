"""The transcriber fails under a whole meeting: killed, frozen, cut off, slow, its engine gone. No word is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.chain import Chain, chain
from tests.support.measures import in_time, note
from tests.support.network import partition, require_network
from tests.support.processes import engines
from tests.support.seeds import FULL
from tests.support.servers.proxies import TcpProxy

pytestmark = [pytest.mark.processes, pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]
HASTE = {} if FULL else {"EARSHOT_TONE_BOT_HASTE": "1"}
GONE_S, FREEZE_S, PARTITION_S = (3.0, 20.0, 15.0) if FULL else (1.0, 3.0, 3.0)
MAX_BACK_S = 10.0


async def links(here: Chain) -> list[bool]:
    """What the status stream says about the transcriber, in order."""
    events = await here.statuses()
    return [event["healthy"] for event in events if event["event"] == "health" and event["subject"] == "transcriber"]


async def test_a_transcriber_killed_in_mid_utterance_costs_no_word(seed: int, tmp_path: Path) -> None:
    """SIGKILL at any phase of what two people say, a restart 3 s later: all of it, once, under their names."""
    async with chain(seed, tmp_path) as here:
        await here.start_bot()
        await here.hears_everybody()
        async with here.conversation():
            await here.some_time()
            await here.transcriber.kill()
            await asyncio.sleep(GONE_S)
            await here.transcriber.start()
            back = await here.more_finals()
            await here.some_time()
        await here.settled()
        assert in_time(back, MAX_BACK_S)
        assert (await links(here))[0] is False
        assert (await links(here))[-1] is True
        grown = await here.end()
        note("test_a_transcriber_killed_in_mid_utterance_costs_no_word", seed, back_s=back, grown_mb=grown)


async def test_a_frozen_transcriber_costs_no_word(seed: int, tmp_path: Path) -> None:
    """SIGSTOP, which no socket notices, and SIGCONT: its old session says nothing any more."""
    async with chain(seed, tmp_path) as here:
        await here.start_bot(**HASTE)
        await here.hears_everybody()
        async with here.conversation():
            await here.some_time()
            here.transcriber.process.send_signal(signal.SIGSTOP)
            frozen = time.monotonic()
            while False not in await links(here) and time.monotonic() - frozen < FREEZE_S:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            noticed = time.monotonic() - frozen
            await asyncio.sleep(max(0.0, frozen + FREEZE_S - time.monotonic()))
            here.transcriber.process.send_signal(signal.SIGCONT)
            back = await here.more_finals()
            await here.some_time()
        await here.settled()
        assert noticed < FREEZE_S, "nobody noticed"
        assert in_time(back, MAX_BACK_S)
        await here.end()
        note("test_a_frozen_transcriber_costs_no_word", seed, noticed_s=noticed, back_s=back)


async def test_a_silent_partition_of_the_transcriber_costs_no_word(seed: int, tmp_path: Path) -> None:
    """Every packet to and from it vanishes: noticed, and caught up with afterwards."""
    require_network()
    async with chain(seed, tmp_path) as here:
        await here.start_bot(**HASTE)
        await here.hears_everybody()
        async with here.conversation():
            await here.some_time()
            async with partition(here.transcriber.port):
                await asyncio.sleep(PARTITION_S)
            back = await here.more_finals()
            await here.some_time()
        await here.settled()
        assert in_time(back, MAX_BACK_S)
        assert False in await links(here)
        await here.end()
        note("test_a_silent_partition_of_the_transcriber_costs_no_word", seed, back_s=back)


async def test_a_slow_line_to_the_transcriber_costs_no_word(seed: int, tmp_path: Path) -> None:
    """200 ± 100 ms, 64 kB/s each way, and pieces of a few bytes: later, and all of it; nobody connects anew."""
    line = TcpProxy("", 0, slice_bytes=97, bytes_per_s=64_000)
    async with chain(seed, tmp_path, transcriber=line) as here:
        line._delay = lambda: here.chance.uniform(0.1, 0.3)
        await here.start_bot()
        await here.hears_everybody()
        async with here.conversation():
            await asyncio.sleep(15.0 if FULL else 5.0)
        behind = await here.settled()
        assert False not in await links(here)
        grown = await here.end()
        note("test_a_slow_line_to_the_transcriber_costs_no_word", seed, behind_s=behind, grown_mb=grown)


async def test_an_engine_killed_under_a_meeting_costs_no_word(seed: int, tmp_path: Path) -> None:
    """The transcriber replaces its engine, and what was with it is decoded by the next one."""
    async with chain(seed, tmp_path) as here:
        await here.start_bot()
        await here.hears_everybody()
        async with here.conversation():
            await here.some_time()
            [engine] = engines(here.transcriber.process.pid)
            os.kill(engine, here.chance.choice([signal.SIGKILL, signal.SIGSEGV]))
            back = await here.more_finals()
            await here.some_time()
        await here.settled()
        assert in_time(back, MAX_BACK_S)
        assert engines(here.transcriber.process.pid) != [engine]
        await here.end()
        note("test_an_engine_killed_under_a_meeting_costs_no_word", seed, back_s=back)
