"""The bot's own process or its host fails: killed, suspended, a clock that jumps, busy cores, hardly any files."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from common.contracts import keys
from tests.support.chain import BOT, begun, chain, footprint, stood_still
from tests.support.measures import in_time, note
from tests.support.numbered import read
from tests.support.processes import ended
from tests.support.seeds import FULL
from tests.support.tools import require

pytestmark = [pytest.mark.processes, pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]
SUSPENDED_S = 60.0 if FULL else 10.0
HEARTBEAT_TTL_MS = 30_000


async def test_a_bot_killed_is_followed_by_another_that_goes_on(seed: int, tmp_path: Path) -> None:
    """kill -9: what was stored stays, the heartbeat runs out, and the next bot of that id counts and numbers on."""
    async with chain(seed, tmp_path) as here:
        first = await here.start_bot()
        await here.hears_everybody()
        async with here.conversation():
            await here.some_time(3.0, 5.0)
            stored = await here.finals()
            killed, again = time.time(), time.monotonic()
            first.kill()
            await first.wait()
            left = await here.consumer.pttl(keys.heartbeat(BOT))
            assert 0 < left <= HEARTBEAT_TTL_MS
            if FULL:
                await asyncio.sleep(left / 1000 + 0.1)
                assert await here.consumer.exists(keys.heartbeat(BOT)) == 0
                again = time.monotonic()
            await here.start_bot()
            await here.hears_everybody()
            joined = time.monotonic() - again
            await here.more_finals()
            here.away.append((killed, time.time()))
            await here.some_time(3.0, 5.0)
        await here.settled()
        assert (await here.finals())[: len(stored)] == stored
        assert [entry["type"] for entry in await here.stored()].count("session_start") == 2
        await here.end()
        note("test_a_bot_killed_is_followed_by_another_that_goes_on", seed, heartbeat_s=left / 1000, joined_s=joined)


async def test_a_suspended_bot_goes_on(seed: int, tmp_path: Path) -> None:
    """Stopped for longer than its lock and its connections last: it is heard again, nothing twice."""
    async with chain(seed, tmp_path) as here:
        await here.start_bot()
        await here.hears_everybody()
        async with here.conversation():
            await here.some_time(2.0, 4.0)
            stopped = time.time()
            here.bot.send_signal(signal.SIGSTOP)
            await asyncio.sleep(SUSPENDED_S)
            here.bot.send_signal(signal.SIGCONT)
            woken = time.time()
            async with asyncio.timeout(30):
                while not any(begun(final) > woken for final in await here.finals()):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            heard = min(begun(final) for final in await here.finals() if begun(final) > woken) - woken
            here.away.append((stopped, time.time()))
            await here.some_time(4.0, 4.0)
        await here.settled()
        [(first, last), *_] = stood_still(await here.statuses())
        assert abs(last - first - SUSPENDED_S) < 5.0, "it says for how long it stood still"
        await here.end()
        note("test_a_suspended_bot_goes_on", seed, heard_s=heard)


async def test_a_clock_that_jumps_moves_no_word(seed: int, tmp_path: Path) -> None:
    """An hour ahead, then two hours back, in mid-sentence: every segment's time is when it was said, to a second."""
    async with chain(seed, tmp_path) as here:
        await here.start_bot()
        await here.hears_everybody()
        async with here.conversation():
            for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR2):
                await here.some_time(2.0, 4.0)
                here.bot.send_signal(number)
            await here.some_time(2.0, 4.0)
        await here.settled()
        off: dict[tuple[str, int], float] = {}
        placed = {}
        for who, said in here.said.items():
            finals = [
                (read(final["text"]), begun(final)) for final in await here.finals() if final["speaker_id"] == who
            ]
            whole = {numbers[0]: at for numbers, at in finals if len(numbers) == 1}
            off |= {(who, one.number): abs(whole[one.number] - one.begin) for one in said if one.number in whole}
            placed[who] = said, finals
        assert {who for who, _ in off} == set(here.said), placed
        worst = max(off.values())  # of words that are there: whether all of them are is the audit's question
        assert in_time(worst, 1.0), placed  # from when it was to go out: on a busy machine it does later
        await here.end()
        note("test_a_clock_that_jumps_moves_no_word", seed, off_s=worst)


@pytest.mark.cores(1.0)
async def test_busy_cores_cost_no_word(seed: int, tmp_path: Path) -> None:
    """One endless loop more than there are cores: later, and all of it."""
    async with chain(seed, tmp_path) as here, AsyncExitStack() as stack:
        await here.start_bot()
        await here.hears_everybody()
        for _ in range((os.cpu_count() or 1) + 1):
            loop = await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass")
            await stack.enter_async_context(ended(loop))
        async with here.conversation():
            await asyncio.sleep(20.0 if FULL else 6.0)
        behind = await here.settled(60)
        await stack.aclose()
        await here.end()
        note("test_busy_cores_cost_no_word", seed, behind_s=behind)


async def test_sixty_four_files_are_enough_or_said_to_be_too_few(seed: int, tmp_path: Path) -> None:
    """A meeting of two under `prlimit --nofile=64`: every word, or an end with a sub-code; never silence."""
    prlimit = shutil.which("prlimit")
    require(prlimit, "needs prlimit: apt install util-linux")
    async with chain(seed, tmp_path) as here:
        await here.start_bot(str(prlimit), "--nofile=64:64")
        await here.hears_everybody()
        async with here.conversation():
            await asyncio.sleep(4.0)
        await here.settled()
        note("test_sixty_four_files_are_enough_or_said_to_be_too_few", seed, files=footprint(here.bot.pid).files)
        await here.end()


async def test_too_little_memory_is_an_end_and_no_silence(seed: int, tmp_path: Path) -> None:
    """300 MB of address space, less than its libraries want: it ends by itself, soon, and not with success."""
    prlimit = shutil.which("prlimit")
    require(prlimit, "needs prlimit: apt install util-linux")
    async with chain(seed, tmp_path) as here:
        began = time.monotonic()
        bot = await here.start_bot(str(prlimit), f"--as={300 << 20}")
        async with asyncio.timeout(60):
            code = await bot.wait()
        note("test_too_little_memory_is_an_end_and_no_silence", seed, ended_s=time.monotonic() - began)
        assert code != 0
        assert here.log.strip(), "without a word"
