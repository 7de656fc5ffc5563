"""The transcriber as a process: start, health, SIGTERM, and the ways in which it cannot start."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from common.whisperlive.protocol import EXTENSIONS, Handshake
from tests.integration.transcriber.test_demo_model import clips
from tests.integration.transcriber.test_faults import send_bad
from tests.support.processes import children, ended
from tests.support.transcribing import talking

pytestmark = [pytest.mark.model, pytest.mark.processes, pytest.mark.slow]


@asynccontextmanager
async def transcriber(*options: str) -> AsyncIterator[Process]:
    """A process that is gone after the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "transcriber", "--device", "cpu", *options, stdout=PIPE, stderr=PIPE
    )
    async with ended(process):
        yield process


async def ready(process: Process) -> tuple[str, int]:
    """Waits for the ready line: the websocket's URL and the HTTP port."""
    assert process.stdout
    assert process.stderr
    url = (await process.stdout.readline()).decode().strip()
    async for line in process.stderr:
        event = json.loads(line)
        if event["event"] == "transcriber.ready":
            assert url.endswith(f":{event['port']}")
            return url, event["http_port"]
    raise AssertionError("it ended before it was ready")


async def test_it_serves_reports_and_drains_within_five_seconds() -> None:
    """Health and metrics; after SIGTERM the words that were heard come as a final, then exit 0; no text in the log."""
    async with transcriber("--port", "0", "--http-port", "0", "--log-level", "debug") as process:
        url, http_port = await ready(process)
        text, samples = clips()[0]
        async with (
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{http_port}", trust_env=False) as web,
            talking(url, Handshake("u", language="en", extensions=EXTENSIONS)) as client,
        ):
            assert (await web.get("/ready")).status_code == 200
            await client.say(samples)
            await asyncio.sleep(0.3)
            health = await web.get("/health")
            assert (health.status_code, health.json()["status"], health.json()["clients"]) == (200, "ok", 1)
            assert "transcriber_clients 1.0" in (await web.get("/metrics")).text
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(5):
                assert await client.rest() == 1001
                assert await process.wait() == 0
            assert client.text == [text]
        assert process.stderr
        log = (await process.stderr.read()).decode()
        passes = [json.loads(line) for line in log.splitlines() if '"decoding.done"' in line]
        assert passes
        assert all(0.01 < line["audio_level"] < 1 and line["audio_s"] > 0.4 for line in passes)
        assert not any(word in log for word in text.split() if len(word) > 5)


async def test_the_key_is_in_no_log(tmp_path: Path) -> None:
    """However a client puts it where it does not belong, at the lowest level."""
    key, file = "canary-k3y-0123", tmp_path / "key"
    file.write_text(key, encoding="utf-8")
    options = ("--port", "0", "--http-port", "0", "--log-level", "debug", "--api-key-file", str(file))
    async with transcriber(*options) as process:
        url, _ = await ready(process)
        headers = {"Authorization": f"Bearer {key}"}
        async with talking(url, Handshake(f"uid-{key}", language="en", model=key), headers=headers):
            pass
        process.send_signal(signal.SIGTERM)
        assert process.stderr
        log = (await process.stderr.read()).decode()
    assert "uid-***" in log
    assert key not in log


async def test_a_taken_port_is_named() -> None:
    """Exit 3, with the option to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        async with transcriber("--port", port, "--http-port", "0") as process:
            _, error = await process.communicate()
    assert process.returncode == 3
    assert f"127.0.0.1:{port}" in error.decode()
    assert "--port" in error.decode()


async def test_a_missing_model_is_named() -> None:
    """Exit 3, and nothing is left behind."""
    async with transcriber("--port", "0", "--http-port", "0", "--model", "/nowhere/model") as process:
        output, error = await process.communicate()
    assert (process.returncode, output) == (3, b"")
    assert "/nowhere/model" in error.decode()
    assert "Traceback" not in error.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_at_any_time(number: signal.Signals) -> None:
    """Also before anybody has connected."""
    async with transcriber("--port", "0", "--http-port", "0") as process:
        await ready(process)
        process.send_signal(number)
        async with asyncio.timeout(5):
            assert await process.wait() == 0


async def test_killing_the_engine_costs_no_word() -> None:
    """kill -9 in the middle of three sentences: each comes as its final, by a new engine; the counter says so."""
    async with transcriber("--port", "0", "--http-port", "0") as process:
        url, http_port = await ready(process)
        killed = []
        async with talking(url, Handshake("u", language="en", extensions=EXTENSIONS)) as client:
            for n, (_, samples) in enumerate(clips()[:3]):
                await client.say(samples[: len(samples) // 2])
                await asyncio.sleep(0.02 * n)
                [engine] = children(process.pid)
                os.kill(engine, signal.SIGKILL)
                killed.append(engine)
                await client.say(samples[len(samples) // 2 :])
                await client.acked(await client.end_utterance(), timeout=30)  # a new engine starts in between
            assert client.text == [text for text, _ in clips()[:3]]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{http_port}", trust_env=False) as web:
            assert "transcriber_engine_restarts_total 3.0" in (await web.get("/metrics")).text
        assert len({*killed, *children(process.pid)}) == 4


async def test_without_open_files_it_serves_those_it_has_and_says_so_in_few_words() -> None:
    """Connections to the HTTP port take them all: who is connected is heard; afterwards everything is as before."""
    async with transcriber("--port", "0", "--http-port", "0") as process:
        url, http_port = await ready(process)
        async with talking(url, Handshake("u", language="en", extensions=EXTENSIONS)) as client:
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (32, 32))
            lines = [await asyncio.open_connection("127.0.0.1", http_port) for _ in range(64)]
            text, samples = clips()[0]
            await client.say(samples)
            await client.acked(await client.end_utterance(), timeout=10)
            assert client.text == [text]
            await asyncio.sleep(2.5)
            for _, writer in lines:
                writer.transport.abort()
            transport = httpx.AsyncHTTPTransport(retries=5)
            async with httpx.AsyncClient(transport=transport, timeout=10, trust_env=False) as web:
                assert (await web.get(f"http://127.0.0.1:{http_port}/health")).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.stderr
        log = [json.loads(line) for line in (await process.stderr.read()).splitlines()]
        assert any("Too many open files" in line.get("exception", "") for line in log)
        assert len(log) < 60


def resident(process: Process) -> int:
    """A process's memory, bytes."""
    return int(Path(f"/proc/{process.pid}/statm").read_text(encoding="ascii").split()[1]) * 4096


@pytest.mark.timeout(120)
async def test_ten_thousand_malformed_messages_do_no_harm() -> None:
    """No crash, less than 5 MB more, and another session hears every word."""
    rng, (text, samples) = random.Random(7), clips()[0]
    async with transcriber("--port", "0", "--http-port", "0", "--log-level", "error") as process:
        assert process.stdout
        url = (await process.stdout.readline()).decode().strip()
        async with talking(url, Handshake("u", language="en", extensions=EXTENSIONS)) as client:
            sent, said, before = 0, 0, 0
            while sent < 11_000:
                sent += sum(await asyncio.gather(*(send_bad(url, 10, rng) for _ in range(8))))
                if sent // 1000 > said:
                    said += 1
                    await client.say(samples)
                    await client.acked(await client.end_utterance())
                    before = before or resident(process)  # after the first thousand: what is allocated once is there
            grown = resident(process) - before
            assert client.text == [text] * said
        assert process.returncode is None
        assert grown < 5_000_000
