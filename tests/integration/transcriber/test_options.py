"""Options and environment of the command: key, TLS, device; and what is wrong with them, exit 2."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from common.whisperlive.protocol import EXTENSIONS, Handshake
from tests.support.fakes.scripted_engine import silence
from tests.support.processes import ended
from tests.support.servers.certificates import write_pair
from tests.support.transcribing import talking
from transcriber.service import PortError, claim, listen

pytestmark = [pytest.mark.processes, pytest.mark.slow]
KEY = "canary-51be0d77"


@asynccontextmanager
async def transcriber(*options: str, **environment: str) -> AsyncIterator[Process]:
    """A process that is gone after the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "transcriber", "--port", "0", "--http-port", "0", *options),
        env={**os.environ, **environment}, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    async with ended(process):
        yield process


def image_is_healthy(http_port: int, **environment: str) -> bool:
    """What the container image would say."""
    text = (Path(__file__).parents[3] / "docker/transcriber.Dockerfile").read_text(encoding="utf-8")
    check = re.search(r'CMD (\["python", "-c",.*\])\n', text)
    assert check
    command = [sys.executable, *json.loads(check[1])[1:]]
    environment |= {"TRANSCRIBER_HTTP_PORT": str(http_port), "no_proxy": "*"}
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


@pytest.mark.model
async def test_both_ports_speak_tls_and_ask_for_the_key_of_a_file(tmp_path: Path) -> None:
    """All from the environment, the device by its other name; in the log of everything the key is nowhere."""
    certificate, private = write_pair(tmp_path)
    (key := tmp_path / "key").write_text(f"{KEY}\n", encoding="ascii")
    trusting, bearer = ssl.create_default_context(cafile=certificate), {"Authorization": f"Bearer {KEY}"}
    async with transcriber(
        DEVICE_TYPE="cpu", LOG_LEVEL="debug", TRANSCRIBER_API_KEY_FILE=str(key), TRANSCRIBER_TLS_CERT=certificate,
        TRANSCRIBER_TLS_KEY=private, TRANSCRIBER_ALLOW_ORIGINS="https://a.example, https://b.example",
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stderr
        url = (await process.stdout.readline()).decode().strip()
        assert url.startswith("wss://127.0.0.1:")
        log, http_port = b"", 0
        while not http_port:
            log += (line := await process.stderr.readline())
            http_port = json.loads(line).get("http_port", 0)
        async with httpx.AsyncClient(
            base_url=f"https://127.0.0.1:{http_port}", verify=trusting, trust_env=False
        ) as web:
            assert (await web.get("/health")).json()["status"] == "ok"
            assert await asyncio.to_thread(image_is_healthy, http_port, TRANSCRIBER_TLS_CERT=certificate)
            assert not await asyncio.to_thread(image_is_healthy, http_port)
            assert (await web.post("/process", headers={**bearer, "Origin": "https://c.example"})).status_code == 403
            assert (await web.post("/process", headers=bearer)).status_code == 415
            assert (await web.post("/process")).status_code == 401
            hello = Handshake("u", language="en", extensions=EXTENSIONS)
            headers = {**bearer, "Origin": "https://b.example"}
            async with talking(url, hello, tls=trusting, headers=headers) as client:
                await client.say(silence(1))
                await client.acked(await client.end_utterance())
        process.send_signal(signal.SIGTERM)
        log += await process.stderr.read()
        assert await process.wait() == 0
    assert b"client.model_ignored" in log
    assert KEY.encode() not in log


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({"TRANSCRIBER_API_KEY": "a", "TRANSCRIBER_API_KEY_FILE": "/b"}, "--api-key and --api-key-file"),
        ({"TRANSCRIBER_API_KEY_FILE": "/nowhere"}, "--api-key-file: cannot read /nowhere"),
        ({"TRANSCRIBER_ALLOW_ORIGINS": "app.example.com"}, "scheme://host"),
        ({"TRANSCRIBER_TLS_CERT": "/nowhere"}, "--tls-cert: cannot read /nowhere"),
        ({"TRANSCRIBER_TLS_KEY": "/nowhere"}, "--tls-key is given without --tls-cert"),
        ({"DEVICE_TYPE": "gpu"}, "gpu"),
        ({"TRANSCRIBER_ENGINE": "openai"}, "--engine openai needs --engine-url"),
        ({"TRANSCRIBER_ENGINE_URL": "http://gpu:9091"}, "--engine-url belongs to --engine openai and stream"),
    ],
)
async def test_an_option_that_cannot_be_used_is_named(environment: dict[str, str], problem: str) -> None:
    """Exit 2 with one line, before the model is loaded."""
    async with transcriber(**environment) as process:
        output, error = await process.communicate()
    assert (process.returncode, output) == (2, b"")
    assert problem in error.decode()
    assert "Traceback" not in error.decode()


@pytest.mark.parametrize("option", ["--api-key", "--api-key-file", "--model", "--engine-url", "--allow-origin"])
async def test_an_empty_option_is_an_error(option: str) -> None:
    """Exit 2: a shell variable that is not set must not mean that everybody is let in, or the demo model."""
    async with transcriber(option, "") as process:
        _, error = await process.communicate()
    assert process.returncode == 2
    assert f"{option} is empty" in error.decode()


@pytest.mark.model
@pytest.mark.parametrize(("host", "key", "is_said"), [("0.0.0.0", "", True), ("0.0.0.0", KEY, False), ("", "", False)])
async def test_who_listens_for_others_without_a_key_is_told(host: str, key: str, is_said: bool) -> None:
    """An empty variable is no key, as Compose gives it: the log says that nobody is asked for one."""
    async with transcriber(TRANSCRIBER_HOST=host, TRANSCRIBER_API_KEY=key) as process:
        assert process.stdout
        assert process.stderr
        assert await process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        log = await process.stderr.read()
    assert (b"transcriber.no_key" in log) == is_said


async def test_one_port_for_both_is_an_error() -> None:
    """Exit 2 with one line: the second would fail once the model is loaded."""
    async with transcriber("--port", "9092", "--http-port", "9092") as process:
        _, error = await process.communicate()
    assert process.returncode == 2
    assert error.decode() == "earshot-transcriber: --port and --http-port are both 9092: they must differ.\n"


async def test_two_that_start_on_one_port_at_once_say_so(tmp_path: Path) -> None:
    """Both may bind it as long as neither listens; the slower one ends in a sentence, exit 3, the other serves."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    root = str(Path(__file__).parents[3])
    options = ("--engine", "tests.support.engines:scripted", "--port", port)
    async with transcriber(*options, PYTHONPATH=root) as one, transcriber(*options, PYTHONPATH=root) as other:
        ends = {asyncio.create_task(each.wait()): each for each in (one, other)}
        async with asyncio.timeout(30):
            [ended_first], [serving] = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        loser, winner = ends[ended_first], ends[serving]
        assert loser.stderr
        assert winner.stdout
        said = (await loser.stderr.read()).decode()
        assert (loser.returncode, "Traceback" in said) == (3, False)
        assert f"Cannot listen on 127.0.0.1:{port} (Address already in use): use another --port or --host." in said
        async with asyncio.timeout(30):
            assert (await winner.stdout.readline()).decode().strip() == f"ws://127.0.0.1:{port}"
        winner.send_signal(signal.SIGTERM)
        assert await winner.wait() == 0


def test_a_port_that_two_have_bound_is_the_first_listeners() -> None:
    """The other hears of it when it wants to listen, too."""
    with listen("127.0.0.1", 0, "--http-port") as one:
        port = one.getsockname()[1]
        with listen("127.0.0.1", port, "--http-port") as other:
            claim(one, "--http-port")
            with pytest.raises(PortError, match=f"Cannot listen on 127.0.0.1:{port} .* use another --http-port"):
                claim(other, "--http-port")
