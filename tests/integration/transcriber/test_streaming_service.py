"""A whole transcriber on a streaming engine: what `--engine streaming:…` names, its health, metrics, limits and end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from common.whisperlive.protocol import EXTENSIONS, Handshake, Segments
from tests.support.fakes.scripted_engine import silence, tone
from tests.support.fakes.stock_client import StockClient
from tests.support.fakes.streaming_engine import ADAPTOR, ScriptedVendor, streaming_vendor
from tests.support.guides import program
from tests.support.processes import ended
from tests.support.servers.whole_service import Running, running
from tests.support.transcribing import talking
from tests.support.waiting import eventually
from transcriber.config import RemoteSettings, Settings
from transcriber.core.answers import MAX_LOST_STREAMS
from transcriber.core.limits import TimeLimits
from transcriber.engine.base import ModelError
from transcriber.streaming import opened

pytestmark = [pytest.mark.processes, pytest.mark.slow]
OURS = Handshake("u", language="en", extensions=EXTENSIONS)
ENGINE = "streaming:tests.support.fakes.streaming_engine:load"


@asynccontextmanager
async def streaming() -> AsyncIterator[tuple[ScriptedVendor, Running]]:
    """The vendor, and a service that was told its address."""
    async with streaming_vendor() as vendor, running(ENGINE, remote=RemoteSettings(vendor.url)) as at:
        yield vendor, at


@pytest.mark.parametrize("stopped_by", [signal.SIGTERM, signal.SIGINT])
async def test_the_guide_works_word_by_word(tmp_path: Path, stopped_by: signal.Signals) -> None:
    """Its program saved, its command run: a stock client gets its text, a signal ends it in order."""
    saved = program("transcriber-engines.md", "A streaming engine")
    (tmp_path / "acme_streams.py").write_text(saved, encoding="utf-8")
    (tmp_path / "acme.key").write_text("canary-key\n", encoding="ascii")
    async with streaming_vendor() as vendor:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "transcriber", "--port", "0", "--http-port", "0"),
            *("--engine", "streaming:acme_streams:load", "--engine-url", vendor.url),
            *("--engine-key-file", str(tmp_path / "acme.key")),
            env={**os.environ, "PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{tmp_path}"},
            stdout=PIPE,
            stderr=PIPE,
        )
        async with ended(process):
            assert process.stdout
            assert process.stderr
            url = (await process.stdout.readline()).decode().strip()
            stock = StockClient("s1")
            async with connect(url, proxy=None, ping_interval=None) as socket:
                await socket.send(Handshake("s1", language="en").serialise())
                for piece in (tone("alpha"), silence(0.8), tone("bravo")):
                    await socket.send((piece.astype("<f4") / 32768).tobytes())
                await socket.send(b"END_OF_AUDIO")
                async for message in socket:
                    stock.on_message(str(message))
            assert stock.subtitles() == [" alpha", " bravo"]
            process.send_signal(stopped_by)
            log = await process.stderr.read()
            assert await process.wait() == 0
    assert b"engine.ready" in log
    [ready] = [line for line in log.splitlines() if b'"transcriber.ready"' in line]
    assert json.loads(ready)["model"] == "acme streams"  # as `/health` calls it: `--model` is not looked at
    assert b"canary-key" not in log
    assert vendor.keys == {"Bearer canary-key"}


async def test_health_says_what_can_be_seen_of_it() -> None:
    """Its name and answers; what belongs to passes over windows is at rest. Recordings are for others."""
    async with streaming() as (_, at):
        assert await at.says() == (200, {
            "status": "ok", "backend": "streaming_engine", "model": "acme streams", "clients": 0, "max_clients": 7,
            "last_decode_s": None, "waiting": 0, "oldest_wait_s": 0.0, "engine": "up", "restarts": 0, "level": 0,
            "unanswered_s": 0.0,
        })  # fmt: skip
        async with talking(at.url, OURS) as client:
            await client.say(tone("alpha"))
            await client.acked(await client.end_utterance())
            status, body = await at.says()
            assert (status, body["clients"], body["unanswered_s"]) == (200, 1, 0.0)
            assert 0 <= body["last_decode_s"] < 5
            assert await at.metric("transcriber_clients") == 1
            assert await at.metric("transcriber_audio_seconds_total") == pytest.approx(0.6)
            counted = [line for line in (await at.web.get("/metrics")).text.splitlines() if line[0] != "#"]
            moved = {line.partition("{")[0].partition(" ")[0] for line in counted if not line.endswith(" 0.0")}
            ours = {name for name in moved if name.startswith("transcriber_")}
            assert ours == {"transcriber_clients", "transcriber_audio_seconds_total"}
        answer = await at.web.post("/v1/audio/transcriptions", files={"file": b"x"}, data={"model": "whisper-1"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (501, "no_recordings")


async def test_it_is_known_since_when_a_vendor_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks first hears how long it has been, and of two short absences between which nobody asked, the last."""
    monkeypatch.setattr("transcriber.service.STREAM_LIMITS", TimeLimits(replacement=2.0))
    monkeypatch.setattr("transcriber.service.LOOK_INTERVAL_S", 0.1)
    async with streaming() as (_, at):
        monkeypatch.setattr(ADAPTOR.Vendor, "is_up", False)
        await asyncio.sleep(2.5)
        status, body = await at.says()
        assert (status, body["status"]) == (503, "stalled")
        monkeypatch.setattr(ADAPTOR.Vendor, "is_up", True)
        await asyncio.sleep(1)
        monkeypatch.setattr(ADAPTOR.Vendor, "is_up", False)
        status, body = await at.says()
        assert (status, body["status"]) == (200, "restarting")


async def test_a_vendor_that_answers_nobody_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as somebody waits for it; the backlog is counted; an answer makes it well."""
    monkeypatch.setattr("transcriber.service.STREAM_LIMITS", TimeLimits(call=0.1, replacement=0.1))
    async with streaming() as (vendor, at), talking(at.url, OURS) as client:
        vendor.go.clear()
        await client.say(tone("alpha"))
        end = await client.end_utterance()
        body = await at.until(lambda status, _: status == 503)
        assert (body["status"], body["unanswered_s"] >= 0.2) == ("stalled", True)
        assert (await at.says("/ready"))[0] == 503
        assert await at.metric("transcriber_backlog_seconds") == pytest.approx(0.6)
        vendor.go.set()
        await client.acked(end)
        await at.until(lambda status, body: (status, body["status"]) == (200, "ok"))


async def test_streams_that_break_one_after_another_are_red() -> None:
    """Nobody gets any text: three in a row; the next answer makes it well. Each is counted."""
    async with streaming() as (vendor, at):
        for number in range(MAX_LOST_STREAMS):
            assert (await at.says())[0] == 200
            async with talking(at.url, OURS) as client:
                await eventually(lambda: bool(vendor.streams))
                vendor.drop()
                assert await client.rest() == 1011
            lost = number + 1
            await eventually(lambda: not vendor.streams)
            assert await at.metric("transcriber_streams_lost_total") == lost
        assert (await at.until(lambda status, _: status == 503))["status"] == "failing"
        async with talking(at.url, OURS) as client:
            await client.say(tone("alpha"))
            await client.acked(await client.end_utterance())
        assert (await at.says())[0] == 200


async def test_an_engine_that_says_that_it_is_away_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not ready at once, red when that lasts; and while it has no room for another stream a client is told to wait."""
    monkeypatch.setattr("transcriber.service.STREAM_LIMITS", TimeLimits(replacement=0.2))
    async with streaming() as (_, at):
        monkeypatch.setattr(ADAPTOR.Vendor, "is_up", False)
        body = await at.until(lambda status, _: status == 503, "/ready")
        assert (body["status"], body["engine"]) == ("restarting", "restarting")
        await at.until(lambda status, body: (status, body["status"]) == (503, "stalled"))
        monkeypatch.setattr(ADAPTOR.Vendor, "is_up", True)
        await at.until(lambda status, _: status == 200, "/ready")
        monkeypatch.setattr(ADAPTOR.Vendor, "admits", False)
        async with connect(at.url, proxy=None) as socket:
            await socket.send(OURS.serialise())
            assert '"WAIT"' in str(await socket.recv())
        assert await at.metric('transcriber_refused_total{reason="load"}') == 1


async def test_an_engine_that_raises_instead_of_saying_how_it_is_is_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends nobody's stream, nor the server: not ready, nobody new; said once; and well when it answers again."""

    def fail(vendor: object) -> bool:
        raise ValueError("canary words")

    logged: list[dict[str, str]] = []
    log = SimpleNamespace(
        info=lambda *_, **__: None, error=lambda event, **said: logged.append({"event": event, **said})
    )
    monkeypatch.setattr("transcriber.streaming.log", log)
    monkeypatch.setattr("transcriber.service.LOOK_INTERVAL_S", 0.05)
    async with streaming() as (_, at), talking(at.url, OURS) as client:
        for name in ("is_up", "admits"):
            monkeypatch.setattr(ADAPTOR.Vendor, name, property(fail))
        body = await at.until(lambda status, _: status == 503, "/ready")
        assert body["engine"] == "restarting"
        async with connect(at.url, proxy=None) as socket:
            await socket.send(OURS.serialise())
            assert '"WAIT"' in str(await socket.recv())
        await client.say(tone("alpha"))
        await client.acked(await client.end_utterance())
        for name in ("is_up", "admits"):
            monkeypatch.setattr(ADAPTOR.Vendor, name, True)
        await at.until(lambda status, _: status == 200, "/ready")
    assert [line["what"] for line in logged] == ["is_up", "admits"]
    assert "canary" not in repr(logged)


async def test_limits_and_refusals_are_the_servers() -> None:
    """The most clients; what the vendor cannot do is said in its words, before any audio."""
    async with streaming() as (_, at), streams(at.url, 7):
        async with connect(at.url, proxy=None) as socket:
            await socket.send(OURS.serialise())
            assert '"WAIT"' in str(await socket.recv())
        assert await at.metric('transcriber_refused_total{reason="full"}') == 1
    async with streaming() as (vendor, at), connect(at.url, proxy=None) as socket:
        await socket.send(Handshake("u", language="de", task="translate").serialise())
        said = str(await socket.recv())
        assert '"ERROR"' in said
        assert "this server does not translate" in said
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd
        assert closed.value.rcvd.code == 1008
        assert not vendor.streams
        assert await at.metric('transcriber_refused_total{reason="handshake"}') == 1


@asynccontextmanager
async def streams(url: str, count: int) -> AsyncIterator[None]:
    """So many clients."""
    if not count:
        yield
        return
    async with talking(url, OURS), streams(url, count - 1):
        yield


async def test_who_ends_while_the_vendor_is_mute_hears_what_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end does not wait for ever, and is counted."""
    monkeypatch.setattr(ADAPTOR, "ANSWER_TIMEOUT_S", 0.2)
    monkeypatch.setattr("transcriber.websocket.connection.FLUSH_CHECK_S", 0.05)
    async with streaming() as (vendor, at), talking(at.url, OURS) as client:
        vendor.go.clear()
        await client.say(tone("alpha"))
        await client.socket.send(b"END_OF_AUDIO")
        assert await client.rest() == 1000
        assert any("The speech from 0.000 to 0.600 s could not be transcribed" in str(raw) for raw in client.raw)
        assert await at.metric("transcriber_flush_timeouts_total") == 1
        vendor.go.set()


async def test_a_signal_sends_the_last_words() -> None:
    """Then the client is closed with 1001."""
    async with streaming() as (_, at), talking(at.url, OURS) as client:
        await client.say(tone("alpha"))
        await client.until(lambda event: isinstance(event, Segments))
        at.stop.set()
        assert await client.rest() == 1001
        assert client.text == ["alpha"]


@pytest.mark.parametrize(
    ("engine", "problem"),
    [
        ("streaming:tests.support.no_such:load", "did not start: ModuleNotFoundError"),
        ("streaming:tests.support.fakes.streaming_engine:no_such", "did not start: AttributeError"),
        (ENGINE, "The vendor's address is missing: --engine-url"),
        ("streaming:tests.support.engines:hollow", r"is not whole: `is_up` \(True or False\) is missing, `session"),
        (
            "streaming:tests.support.engines:shallow",
            (
                r"is not whole: of its session `decided` \(a sample\) is missing, "
                r"of its session `is_full` \(True or False\) raises KeyError \(engines.py:\d+ in is_full\) \(docs"
            ),
        ),
    ],
)
async def test_an_engine_that_does_not_start_says_why(engine: str, problem: str) -> None:
    """In a sentence, for exit code 3."""
    with pytest.raises(ModelError, match=problem):
        async with opened(Settings(engine=engine, remote=RemoteSettings(""))):
            pass
