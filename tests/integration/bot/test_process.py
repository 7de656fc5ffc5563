"""The process of one bot: whatever is done to its event loop or its standard error, it ends in order."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import pytest

from tests.integration.bot.test_runner import World, world

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.processes]

CLOSED = -99
"""A standard error that is no open file, as `2>&-` makes it."""


@asynccontextmanager
async def acting_bot(here: World, act: str, stderr: int, *before: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`earshot run` in a process of its own, with a meeting in which `act` happens; killed if it has not ended.

    Args:
        here: Its neighbours.
        act: See `tests.support.fakes.acting_bot`.
        stderr: Where its log goes.
        before: A command that runs it.
    """
    settings = {
        "platform": "acting",
        "meetingUrl": f"acting:{act}",
        "redisUrl": here.redis_url,
        "whisperLiveUrl": here.transcriber.url,
        "meeting_id": "m1",
        "connectionId": "bot-1",
    }
    program = (sys.executable, "-m", "tests.support.fakes.acting_bot", "run", "--config", "-")
    closed = ("sh", "-c", 'exec "$@" 2>&-', "sh") if stderr == CLOSED else ()
    process = await asyncio.create_subprocess_exec(
        *closed, *before, *program, stdin=asyncio.subprocess.PIPE, stderr=None if closed else stderr
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(settings).encode())
    process.stdin.close()
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize(
    "act",
    ["exit", "exit in a task", "exit in a callback", "interrupt in a callback", "exit in our timers"],
)
async def test_whoever_calls_sys_exit_does_not_skip_the_end(act: str) -> None:
    """SystemExit stops an event loop, with exit code 0: what was heard is stored all the same, and the code is ours."""
    async with world() as here, acting_bot(here, act, asyncio.subprocess.PIPE) as process:
        _, log = await process.communicate()
        assert process.returncode == 1
        assert (await here.statuses())[-1] == ("failed", "internal_error")
        assert [payload["type"] for payload in await here.stream()] == ["session_start", "session_end"]
        assert await here.redis.keys("earshot:lock:*") == []
        last = json.loads(log.splitlines()[-1])
        assert (last["event"], last["exit_code"]) == ("bot.ended", 1)


@contextmanager
def standard_error(kind: str) -> Iterator[int]:
    """A descriptor to log to, of a kind that takes nothing."""
    if kind == "closed":
        yield CLOSED
    elif kind == "disk full":
        with open("/dev/full", "wb") as full:
            yield full.fileno()
    else:
        read, write = os.pipe()
        os.set_blocking(write, False)
        with suppress(BlockingIOError):
            while os.write(write, bytes(4096)):
                pass
        os.set_blocking(write, kind == "stuck")
        if kind == "reader gone":
            os.close(read)
        yield write
        os.close(write)
        if kind != "reader gone":
            os.close(read)


@pytest.mark.parametrize("kind", ["closed", "disk full", "reader gone", "full and non-blocking", "stuck"])
async def test_a_log_that_cannot_be_written_changes_no_end(kind: str) -> None:
    """The meeting is attended, stored and ended as if somebody read the log; the exit code is that of the end."""
    with standard_error(kind) as descriptor:
        async with world() as here, asyncio.timeout(15), acting_bot(here, "end", descriptor) as process:
            assert await process.wait() == 0
            assert (await here.statuses())[-1] == ("completed", "meeting_ended")
            assert [payload["type"] for payload in await here.stream()] == ["session_start", "session_end"]
            assert await here.redis.keys("earshot:lock:*") == []
