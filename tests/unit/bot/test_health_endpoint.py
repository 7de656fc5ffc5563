"""The health endpoint: what it answers, what it refuses, and what a bad port does."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.health_endpoint import (
    ANSWER_TIMEOUT_S,
    HOST,
    MAX_REQUEST_BYTES,
    PORT_VARIABLE,
    answer,
    health_port,
    main,
    serve_health,
)
from common.contracts.health import BotHealth
from common.contracts.status import SubCode
from common.errors import EarshotError

ASK = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
WELL = BotHealth("active", {"redis": True, "transcriber": False}, 1.234)


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def serving(port: int, health: BotHealth = WELL) -> AsyncIterator[None]:
    """An endpoint for one test."""
    task = asyncio.create_task(serve_health(port, lambda: health))
    await asyncio.sleep(0.02)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def ask(port: int, *pieces: bytes) -> bytes:
    """What the endpoint says to a request that arrives in pieces."""
    reader, writer = await asyncio.open_connection(HOST, port)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0.005)
    said = await reader.read()
    writer.close()
    return said


def test_a_running_bot_is_well_and_says_what_it_knows() -> None:
    """200 with status, links and the age of the last audio."""
    head, _, body = answer(ASK, WELL).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    expected = {"status": "active", "links": {"redis": True, "transcriber": False}, "seconds_since_audio": 1.2}
    assert json.loads(body) == expected | {"hearing": "no_tracks", "tracks": {}}


def test_a_bot_whose_lifecycle_is_over_is_not_well() -> None:
    """503, and no age where no audio ever came."""
    said = answer(ASK, BotHealth("failed", {}, None))
    assert said.startswith(b"HTTP/1.1 503 ")
    assert json.loads(said.partition(b"\r\n\r\n")[2])["seconds_since_audio"] is None


@given(st.binary(max_size=64))
def test_any_other_request_is_not_found(request_bytes: bytes) -> None:
    """Whatever the bytes are, the answer is HTTP and never an exception."""
    known = request_bytes.split(b" ")[:2] == [b"GET", b"/health"]
    assert answer(request_bytes, WELL).startswith(b"HTTP/1.1 200" if known else b"HTTP/1.1 404")


@pytest.mark.parametrize(("text", "port"), [("0", 0), ("8081", 8081), ("65535", 65_535)])
def test_the_port_comes_from_the_environment(text: str, port: int) -> None:
    """Any port; without the variable, none."""
    assert health_port({PORT_VARIABLE: text}) == port
    assert health_port({}) == 0


@pytest.mark.parametrize("text", ["", "-1", "65536", "8081 ", "http"])
def test_a_wrong_port_is_a_configuration_error(text: str) -> None:
    """The variable is named."""
    with pytest.raises(EarshotError, match=PORT_VARIABLE) as caught:
        health_port({PORT_VARIABLE: text})
    assert caught.value.code is SubCode.CONFIG_INVALID


async def test_it_serves_on_loopback_also_byte_by_byte() -> None:
    """Real connections; a request in pieces; an endless line is answered and closed."""
    port = free_port()
    async with serving(port):
        assert (await ask(port, ASK)).startswith(b"HTTP/1.1 200")
        assert (await ask(port, b"GET /he", b"alth HTTP/1.1\r", b"\n")).startswith(b"HTTP/1.1 200")
        assert (await ask(port, b"x" * (MAX_REQUEST_BYTES + 1))).startswith(b"HTTP/1.1 404")


async def test_a_client_that_never_asks_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds a connection for a bounded time only."""
    assert ANSWER_TIMEOUT_S <= 5
    monkeypatch.setattr("bot.health_endpoint.ANSWER_TIMEOUT_S", 0.02)
    port = free_port()
    async with serving(port):
        reader, writer = await asyncio.open_connection(HOST, port)
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()


async def test_off_or_taken_it_returns_and_the_meeting_goes_on() -> None:
    """Port 0 serves nothing; a port of somebody else is only logged."""
    await serve_health(0, lambda: WELL)
    port = free_port()
    async with serving(port):
        await serve_health(port, lambda: WELL)


def test_the_probe_says_when_nobody_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1 and a reason that `docker inspect` shows."""
    monkeypatch.setenv(PORT_VARIABLE, str(free_port()))
    assert main() == 1
    assert "no answer from the bot" in capsys.readouterr().out


def test_the_probe_says_what_is_wrong_with_its_port(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1, and no traceback."""
    monkeypatch.setenv(PORT_VARIABLE, "http")
    assert main() == 1
    assert f'{PORT_VARIABLE}: "http"; allowed: a port' in capsys.readouterr().out


@pytest.mark.parametrize(("over", "status"), [(False, 0), (True, 1)])
async def test_the_probe_follows_the_answer(over: bool, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 for a bot that is well, 1 for one that is over."""
    port = free_port()
    monkeypatch.setenv(PORT_VARIABLE, str(port))
    async with serving(port, BotHealth("completed" if over else "active", {}, None)):
        assert await asyncio.to_thread(main) == status


@pytest.mark.parametrize(
    "body", [b"", b"ok", b"[]", b'{"status": 1, "links": {}, "seconds_since_audio": null}', b"\xff"]
)
async def test_the_probe_is_not_content_with_somebody_else(
    body: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever answers 200 on that port without a bot's words is no bot."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + body)
        writer.close()

    async with await asyncio.start_server(say, HOST, 0) as server:
        monkeypatch.setenv(PORT_VARIABLE, str(server.sockets[0].getsockname()[1]))
        assert await asyncio.to_thread(main) == 1
    assert "no bot answers (HTTP 200)" in capsys.readouterr().out
