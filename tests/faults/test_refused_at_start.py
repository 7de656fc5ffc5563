"""Neighbours that refuse a bot's process at its start, and addresses that it must not call: said, and over in time."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from common.whisperlive.protocol import EXTENSIONS, Handshake
from tests.support.chain import chain
from tests.support.measures import note
from tests.support.network import require_network
from tests.support.servers.proxies import TcpProxy
from tests.support.transcribing import talking

pytestmark = [pytest.mark.processes, pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]
METADATA = "169.254.169.254"


async def test_a_full_transcriber_is_waited_for(seed: int, tmp_path: Path) -> None:
    """WAIT to the bot that comes; when others leave it goes in, and hears every word."""
    others = [Handshake(uid, language="en", extensions=EXTENSIONS) for uid in ("other", "another")]
    async with chain(seed, tmp_path, transcriber_options=("max_clients=2",)) as here:
        async with talking(here.transcriber.url, others[0]), talking(here.transcriber.url, others[1]):
            await here.start_bot()
            await asyncio.sleep(here.chance.uniform(2.0, 4.0))
        await here.hears_everybody()
        async with here.conversation():
            await asyncio.sleep(3.0)
        await here.settled()
        await here.end()


async def test_a_wrong_key_ends_it_at_once(seed: int, tmp_path: Path) -> None:
    """Exit code 3 and its sub-code; the server is asked once, and the key is nowhere."""
    line = TcpProxy("", 0)
    async with chain(seed, tmp_path, transcriber=line, transcriber_options=("api_key=another-key-0123456789",)) as here:
        bot = await here.start_bot()
        async with asyncio.timeout(60):
            assert await bot.wait() == 3
        last = [event for event in await here.statuses() if event["event"] == "status"]
        assert [(event["status"], event["code"]) for event in last] == [("failed", "transcriber_refused")]
        assert "canary" not in here.log
        assert line.connections == 1


HOSTS = (METADATA, "2852039166", "0xa9fea9fe", "[::ffff:169.254.169.254]", "169.254.43518")
COUNTING = f"""
import socket, subprocess, sys, threading
subprocess.run("ip link set lo up && ip address add {METADATA}/32 dev lo", shell=True, check=True)
server, calls = socket.create_server(("{METADATA}", 7777)), []

def count():
    while True:
        calls.append(server.accept())

threading.Thread(target=count, daemon=True).start()
socket.create_connection(("{METADATA}", 7777)).close()
code = subprocess.run([sys.executable, "-m", "bot", "run", "--config", "-"]).returncode
print(len(calls))
sys.exit(code)
"""
"""A metadata service in a network of its own that counts who comes: itself, and the bot, should it."""


@pytest.mark.parametrize("setting", ["whisperLiveUrl", "redisUrl", "meetingApiCallbackUrl"])
async def test_the_metadata_service_is_never_called(setting: str, seed: int) -> None:
    """Somebody listens there and counts: nobody comes, whatever the spelling; the bot ends with a word about it."""
    require_network()
    scheme = {"whisperLiveUrl": "ws", "redisUrl": "redis"}.get(setting, "http")
    config: dict[str, Any] = {
        "platform": "rehearsal",
        "meetingUrl": "rehearsal+ws://127.0.0.1:1",
        "meeting_id": 42,
        "connectionId": "bot-1",
        "redisUrl": "redis://127.0.0.1:1",
        "whisperLiveUrl": "ws://127.0.0.1:1",
        setting: f"{scheme}://{HOSTS[seed % len(HOSTS)]}:7777/",
    }
    command = ("unshare", "--net", sys.executable, "-c", COUNTING)
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    began = time.monotonic()
    async with asyncio.timeout(60):
        said, log = await process.communicate(json.dumps(config).encode())
    calls = int(said) - 1
    note("test_the_metadata_service_is_never_called", seed, calls=calls, ended_s=time.monotonic() - began)
    assert calls == 0
    assert process.returncode in (2, 3)
    assert b"metadata" in log
