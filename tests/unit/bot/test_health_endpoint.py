"""The health endpoint: what it answers, what it refuses, and what a bad port does."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from bot.health_endpoint import (
    ANSWER_TIMEOUT_S,
    HOST,
    MAX_LOOP_LAG_S,
    MAX_REQUEST_BYTES,
    PORT_VARIABLE,
    LoopLag,
    answer,
    health_port,
    main,
    serve_health,
)
from bot.metrics import STAGES, BotMetrics
from common.contracts.health import BotHealth
from common.contracts.status import SubCode
from common.errors import EarshotError

PATHS = (b"/livez", b"/readyz", b"/health", b"/metrics")
ASK = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
WELL = BotHealth("active", {"redis": True, "transcriber": False}, 1.234)


def metrics(health: BotHealth) -> bytes:
    """What Prometheus would read."""
    counted = BotMetrics()
    counted.follow(lambda: (2, 1, 4.5))
    return counted.render(health, (3, 0.5))


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


async def listening(port: int) -> None:
    """Waits until somebody takes connections there."""
    async with asyncio.timeout(5):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, port)
                return writer.close()
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(port: int, health: BotHealth = WELL) -> AsyncIterator[None]:
    """An endpoint for one test."""
    task = asyncio.create_task(serve_health(port, lambda: health, metrics))
    try:
        await listening(port)
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
    head, _, body = answer(ASK, WELL, metrics).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body) == {
        "status": "active",
        "ready": True,
        "links": {"redis": True, "transcriber": False},
        "seconds_since_audio": 1.2,
        "loop_lag_s": 0.0,
        "hearing": "no_tracks",
        "tracks": {},
    }


def test_a_bot_whose_lifecycle_is_over_is_not_well() -> None:
    """503, and no age where no audio ever came."""
    said = answer(ASK, BotHealth("failed", {}, None), metrics)
    assert said.startswith(b"HTTP/1.1 503 ")
    assert json.loads(said.partition(b"\r\n\r\n")[2])["seconds_since_audio"] is None


@pytest.mark.parametrize(
    ("health", "codes"),
    [
        (WELL, (200, 200, 200, 200)),
        (BotHealth("joining", {}, None, ready=False), (200, 503, 200, 200)),
        (BotHealth("active", {}, None, loop_lag=MAX_LOOP_LAG_S), (503, 200, 200, 200)),
        (BotHealth("completed", {}, None), (200, 503, 503, 200)),
    ],
)
def test_each_path_has_its_question(health: BotHealth, codes: tuple[int, ...]) -> None:
    """Alive: the loop turns in time. Ready: it joins or has joined. Well: it is not over. Counters: always."""
    said = [answer(b"GET " + path + b" HTTP/1.1\r\n", health, metrics).split()[1] for path in PATHS]
    assert [int(code) for code in said] == list(codes)


def test_the_counters_are_as_prometheus_reads_them() -> None:
    """State and links are numbers, every stage is there from the start."""
    text = answer(b"GET /metrics HTTP/1.1\r\n", WELL, metrics).partition(b"\r\n\r\n")[2].decode()
    assert 'bot_hearing{state="no_tracks"} 1.0' in text
    assert 'bot_hearing{state="ok"} 0.0' in text
    values = {
        sample.name + "".join(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert (values["bot_stateactive"], values["bot_statejoining"]) == (1, 0)
    assert (values["bot_link_upredis"], values["bot_link_uptranscriber"]) == (1, 0)
    assert (values["bot_outbox_entries"], values["bot_outbox_age_seconds"]) == (3, 0.5)
    assert [values[f"bot_{name}"] for name in ("lanes", "waiting_utterances", "lost_speech_seconds")] == [2, 1, 4.5]
    assert {values[f"bot_stage_seconds_count{stage}"] for stage in STAGES} == {0}


async def test_the_lag_of_a_blocked_loop_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """While something blocks the loop nobody answers; whoever is answered right after it reads how long it was."""
    monkeypatch.setattr("bot.health_endpoint.LAG_INTERVAL_S", 0.05)
    late: list[float] = []
    lag = LoopLag(late.append)
    assert lag() == 0
    measuring = asyncio.create_task(lag.measure())
    await asyncio.sleep(0)
    assert lag() == 0
    until = time.monotonic() + 0.25
    while time.monotonic() < until:
        pass
    assert lag() >= 0.2
    while not late:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    measuring.cancel()
    assert late[0] >= 0.15


@given(st.binary(max_size=64))
def test_any_other_request_is_not_found(request_bytes: bytes) -> None:
    """Whatever the bytes are, the answer is HTTP and never an exception."""
    known = request_bytes.split(b" ")[:2] in ([b"GET", path] for path in PATHS)
    assert answer(request_bytes, WELL, metrics).startswith(b"HTTP/1.1 200" if known else b"HTTP/1.1 404")


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
    await serve_health(0, lambda: WELL, metrics)
    port = free_port()
    async with serving(port):
        await serve_health(port, lambda: WELL, metrics)
    with capture_logs() as logged:  # an address of another machine
        await serve_health(free_port(), lambda: WELL, metrics, "192.0.2.1")
    assert "EARSHOT_HEALTH_HOST" in logged[0]["advice"]


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
