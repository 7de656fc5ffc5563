"""Health, readiness and metrics of a whole transcriber whose engine, in its own process, does as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from common.whisperlive.protocol import EXTENSIONS, Handshake
from tests.support.fakes.scripted_engine import ScriptedDetector, tone
from tests.support.processes import engines
from tests.support.servers.whole_service import running
from tests.support.transcribing import talking

pytestmark = [pytest.mark.processes, pytest.mark.slow]
OURS = Handshake("u", language="en", extensions=EXTENSIONS)


@pytest.fixture(autouse=True)
def tones_are_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not speech is not decoded."""
    monkeypatch.setattr("transcriber.service.speech_model", ScriptedDetector)


async def test_health_says_that_results_came_or_that_there_was_nothing_to_do() -> None:
    """All fields, `backend` is the engine's module; `last_decode_s` is null until the first result."""
    async with running() as at:
        assert await at.says() == (200, {
            "status": "ok", "backend": "engines", "model": "m", "clients": 0, "max_clients": 7,
            "last_decode_s": None, "waiting": 0, "oldest_wait_s": 0.0, "engine": "up", "restarts": 0, "level": 0,
            "unanswered_s": 0.0,
        })  # fmt: skip
        async with talking(at.url, OURS) as client:
            await client.say(tone("alpha"))
            await client.acked(await client.end_utterance())
            status, body = await at.says()
            assert (status, body["clients"]) == (200, 1)
            assert 0 <= body["last_decode_s"] < 5
            assert await at.metric("transcriber_audio_seconds_total") == pytest.approx(0.6)
            assert await at.metric('transcriber_queue_wait_seconds_count{kind="final"}') == 1
            assert await at.metric('transcriber_decoding_seconds_count{kind="final"}') == 1
            assert await at.metric("transcriber_final_latency_seconds_count") == 1
            assert await at.metric("transcriber_batch_size_sum") >= 1
            assert 0 < await at.metric("transcriber_real_time_factor") < 1


async def test_a_decoding_that_fails_is_no_result() -> None:
    """`last_decode_s` does not say that the engine works when it does not."""
    hello = Handshake("u", language="en", extensions=EXTENSIONS, initial_prompt="raise an error")
    async with running() as at, talking(at.url, hello) as client:
        await client.say(tone("alpha"))
        await client.acked(await client.end_utterance())
        assert await at.metric("transcriber_failures_total") > 0
        assert await at.metric("transcriber_utterances_lost_total") == 1
        assert (await at.says())[1]["last_decode_s"] is None


async def test_before_the_model_is_warm_it_is_healthy_and_not_ready() -> None:
    """Loading may take minutes; whoever kills it then starts over."""
    async with running("slow", ready=False) as at:
        await at.until(lambda status, body: (status, body["status"]) == (200, "starting"))
        assert (await at.says("/ready"))[0] == 503


async def test_a_stuck_engine_turns_health_red_until_results_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the time that no result came, not by the engine's own word."""
    monkeypatch.setattr("transcriber.core.limits.TimeLimits.answer", 0.4)
    hello = Handshake("u", language="en", extensions=EXTENSIONS, initial_prompt="sleep 1.5")
    async with running() as at, talking(at.url, hello) as client:
        await client.say(tone("alpha"))
        end = await client.end_utterance()
        body = await at.until(lambda status, _: status == 503)
        assert (body["status"], body["unanswered_s"] > 0.3) == ("stalled", True)
        assert (await at.says("/ready"))[0] == 503
        await client.acked(end)
        assert client.text == ["alpha"]
        await at.until(lambda status, body: (status, body["status"]) == (200, "ok"))


async def test_a_lost_engine_is_reported_until_it_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not ready at once, red when that takes long; then the count of replacements is one."""
    monkeypatch.setattr("transcriber.core.limits.MIN_REPLACEMENT_S", 0.3)
    monkeypatch.setattr("transcriber.core.limits.REPLACEMENT_FACTOR", 0.0)
    monkeypatch.setattr("transcriber.engine.process.RESTART_PAUSES_S", (0.1, 0.1))
    (model := tmp_path / "model").write_text("ok", encoding="utf-8")
    async with running("from_file", str(model)) as at:
        model.write_text("exit", encoding="utf-8")
        [engine] = engines()
        os.kill(engine, signal.SIGKILL)
        body = await at.until(lambda status, _: status == 503, "/ready")
        assert (body["status"], body["engine"]) == ("restarting", "restarting")
        await at.until(lambda status, body: (status, body["status"]) == (503, "stalled"))
        model.write_text("ok", encoding="utf-8")
        body = await at.until(lambda status, _: status == 200, "/ready")
        assert (body["engine"], body["restarts"]) == ("up", 1)
        assert await at.metric("transcriber_engine_restarts_total") == 1


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n", None], ids=["nothing", "half a request", "no handshake"])
async def test_stopping_does_not_wait_for_who_says_nothing(said: bytes | None) -> None:
    """On either port: before a request, in one, or between the upgrade and the first message."""
    async with AsyncExitStack() as stack:
        at = await stack.enter_async_context(running())
        if said is None:
            await stack.enter_async_context(connect(at.url, proxy=None, close_timeout=0.1))
        lines = [
            await asyncio.open_connection("127.0.0.1", port)
            for port in (int(at.url.rpartition(":")[2]), at.web.base_url.port)
        ]
        for _, writer in lines:
            writer.write(said or b"")
        await asyncio.sleep(0.1)
        at.stop.set()
        async with asyncio.timeout(3):
            await at.serving
        for _, writer in lines:
            writer.close()


@pytest.mark.parametrize("served", [0, 1, 3])
async def test_a_connection_without_a_request_is_closed(monkeypatch: pytest.MonkeyPatch, served: int) -> None:
    """The HTTP port too has only so many; whatever the connection asked before, and if it goes on slowly."""
    monkeypatch.setattr("common.http.REQUEST_TIMEOUT_S", 1.0)
    request = b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n"
    async with running() as at:
        reader, writer = await asyncio.open_connection("127.0.0.1", at.web.base_url.port)
        writer.write(request * served + request[:-2])

        async def drip() -> None:
            while True:
                await asyncio.sleep(0.1)
                writer.write(b"X: y\r\n")

        dripping = asyncio.create_task(drip())
        async with asyncio.timeout(4):  # uvicorn's own limit is 5 s, for those who send nothing
            for _ in range(served):
                await reader.readuntil(b" 200 OK")
            with contextlib.suppress(ConnectionResetError):  # what dripped meanwhile was not read
                assert b" 200 OK" not in await reader.read()
        dripping.cancel()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        monkeypatch.setattr("common.http.REQUEST_TIMEOUT_S", 10.0)
        assert (await at.says())[0] == 200
