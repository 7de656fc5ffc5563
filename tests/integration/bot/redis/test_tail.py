"""`earshot tail` and the example consumer against a real Redis that a bot's link fills."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.links.redis.link import RedisLink
from common.contracts.live import live
from common.contracts.segments import Segment, SessionIdentity, session_end, session_start, transcription
from common.contracts.status import SubCode
from common.contracts.times import iso_utc
from common.errors import EarshotError
from common.transcript.reader import TranscriptReader
from rehearsal.embedded_redis import EmbeddedRedis, _free_port
from tests.support.servers.redis_server import running, server
from tests.support.waiting import eventually

pytestmark = [pytest.mark.redis, pytest.mark.processes]

ROOT = Path(__file__).parents[4]
IDENTITY = SessionIdentity("rehearsal", 7, None, "bot")


def segment(number: int, text: str, *, final: bool = True) -> Segment:
    """The segment that starts at second `number`."""
    at = iso_utc(number)
    return Segment(f"bot:ana:{number}", number, number + 1, text, "Ana", "ana", "en", final, at, at)


@asynccontextmanager
async def meeting() -> AsyncIterator[tuple[EmbeddedRedis, RedisLink]]:
    """A Redis with a started session and one final in it."""
    async with server() as redis, running(RedisLink(redis.url, "bot", 7)) as link:
        link.publish_final(session_start(IDENTITY, 0))
        link.publish_final(transcription(IDENTITY, [segment(1, "in the past")]))
        await link.flush(2)
        yield redis, link


async def start(*arguments: str) -> asyncio.subprocess.Process:
    """A process of this project whose standard output is read."""
    return await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


@pytest.mark.parametrize("everything", [True, False])
async def test_history_then_partials_then_finals(everything: bool) -> None:
    """A late watcher gets the past from the stream, partials from pub/sub, and the end."""
    async with meeting() as (redis, link):
        tail = TranscriptReader(redis.url, "7")
        await tail.history(everything=everything)
        assert [row.text for row in tail.view.rows()] == ["in the past"]
        following = asyncio.create_task(tail.follow(until_end=True))
        message = live(7, segment(2, "go", final=False), 0.0)
        while len(tail.view.rows()) < 2:  # until the subscription stands
            link.publish_live("bot:ana:2", message, final=False)
            await asyncio.sleep(0.02)
        assert not tail.view.rows()[1].final
        link.publish_final(transcription(IDENTITY, [segment(2, "gone")]))
        await eventually(lambda: tail.view.rows()[1].final)
        link.publish_final(session_end(IDENTITY, 3))
        await asyncio.wait_for(following, 30)
        assert [row.text for row in tail.view.rows()] == ["in the past", "gone"]


async def test_a_redis_that_goes_away_is_waited_for() -> None:
    """The watcher says so, comes back by itself and misses no final."""
    async with server(append_only=True) as redis:
        async with running(RedisLink(redis.url, "bot", 7)) as link:
            tail = TranscriptReader(redis.url, "7")
            await tail.history(everything=False)
            following = asyncio.create_task(tail.follow(until_end=True))
            await redis.stop(kill=True)
            await eventually(lambda: tail.problem != "")
            link.publish_final(transcription(IDENTITY, [segment(1, "while away")]))
            link.publish_final(session_end(IDENTITY, 3))
            await redis.start()
            await asyncio.wait_for(following, 30)
        assert [row.text for row in tail.view.rows()] == ["while away"]


async def test_an_unreachable_redis_is_an_error_for_people() -> None:
    """No traceback: address and option."""
    port = _free_port()
    with pytest.raises(EarshotError) as caught:
        await TranscriptReader(f"redis://127.0.0.1:{port}", "7").history(everything=False)
    assert caught.value.code is SubCode.REDIS_UNREACHABLE
    assert f"127.0.0.1:{port}" in str(caught.value)


async def test_the_command_prints_finals_and_ends_with_the_meeting() -> None:
    """Without a terminal: one line per final, exit code 0 at session_end."""
    async with meeting() as (redis, link):
        process = await start("-m", "bot", "tail", "--meeting", "7", "--redis", redis.url)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"[00:01] Ana: in the past\n"
        link.publish_final(transcription(IDENTITY, [segment(2, "and now")]))
        link.publish_final(session_end(IDENTITY, 3))
        rest, errors = await asyncio.wait_for(process.communicate(), 30)
        assert (rest, errors, process.returncode) == (b"[00:02] Ana: and now\n", b"", 0)


async def test_a_meeting_that_is_over_is_said_to_be() -> None:
    """Who waits for the next one under the same id is told how; what was said is printed all the same."""
    async with meeting() as (redis, link):
        link.publish_final(session_end(IDENTITY, 3))
        await link.flush(2)
        process = await start("-m", "bot", "tail", "--meeting", "7", "--redis", redis.url)
        said, errors = await asyncio.wait_for(process.communicate(), 30)
        assert (said, process.returncode) == (b"[00:01] Ana: in the past\n", 0)
        assert errors == b"earshot: meeting 7 has ended; --follow waits until it is held again\n"


async def test_a_meeting_that_nobody_knows_is_said() -> None:
    """It may begin later, or its id is mistyped: said beside the transcript, not in it."""
    async with meeting() as (redis, _):
        process = await start("-m", "bot", "tail", "--meeting", "8", "--redis", redis.url)
        assert process.stderr is not None
        said = await asyncio.wait_for(process.stderr.readline(), 30)
        assert said == b"earshot: nothing of meeting 8 yet; waiting, Ctrl-C ends\n"
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.communicate(), 30) == (b"", b"")


async def test_ctrl_c_ends_it_cleanly() -> None:
    """SIGINT: exit code 130 and no traceback."""
    async with meeting() as (redis, _):
        process = await start("-m", "bot", "tail", "--meeting", "7", "--redis", redis.url)
        assert process.stdout is not None
        await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = await asyncio.wait_for(process.communicate(), 30)
        assert (process.returncode, errors) == (130, b"")


async def test_the_example_consumer_reads_each_final_once() -> None:
    """examples/consume.py: a consumer group that acknowledges; started again it goes on where it was."""
    async with meeting() as (redis, link):
        arguments = ("examples/consume.py", redis.url, "--stop-after", "1")
        first = await start(*arguments)
        output, errors = await asyncio.wait_for(first.communicate(), 30)
        assert (output, errors) == (b"7 [1.0] Ana: in the past\n", b"")
        link.publish_final(transcription(IDENTITY, [segment(2, "and now")]))
        second = await start(*arguments)
        output, _ = await asyncio.wait_for(second.communicate(), 30)
        assert output == b"7 [2.0] Ana: and now\n"


async def test_on_a_terminal_the_view_is_live_and_stays_readable() -> None:
    """A terminal shows partials as they come, and keeps the plain transcript when the meeting has ended."""
    async with meeting() as (redis, link):
        ours, theirs = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", "tail", "--meeting", "7", "--redis", redis.url, cwd=ROOT,
            stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"},
        )  # fmt: skip
        os.close(theirs)
        os.set_blocking(ours, False)
        screen = bytearray()

        def seen(words: bytes) -> bool:
            with contextlib.suppress(BlockingIOError, OSError):
                screen.extend(os.read(ours, 65536))
            return words in screen

        await eventually(lambda: seen(b"in the past"))
        while not seen(b"half a sen \xe2\x80\xa6"):
            link.publish_live("bot:ana:2", live(7, segment(2, "half a sen", final=False), 0.0), final=False)
            await asyncio.sleep(0.05)
        link.publish_final(transcription(IDENTITY, [segment(2, "half a sentence")]))
        link.publish_final(session_end(IDENTITY, 3))
        await eventually(lambda: seen(b"[00:02] Ana: half a sentence"))
        assert await asyncio.wait_for(process.wait(), 30) == 0
        os.close(ours)
