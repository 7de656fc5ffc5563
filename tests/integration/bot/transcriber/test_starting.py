"""The start: servers that take their time until ready, and things that are no transcriber at all."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import pytest
from structlog.testing import capture_logs

from bot.links.transcriber.link import TranscriberLink, probe
from bot.links.transcriber.servers import Servers
from common.contracts.status import SubCode
from common.errors import EarshotError
from tests.support.fakes.scripted_transcriber import ScriptedTranscriber, scripted_transcriber
from tests.support.fakes.stock_transcriber import StockTranscriber, stock_transcriber
from tests.support.lanes import LaneNotes, free_port, hello

pytestmark = pytest.mark.slow


async def test_a_server_that_loads_its_model_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than one that is away, as long as it answers pings: stock servers load models before they are ready."""
    monkeypatch.setattr("bot.links.transcriber.link.UNREACHABLE_TIMEOUT_S", 0.3)
    monkeypatch.setattr("bot.links.transcriber.link.WAITING_TOLD_S", 0.5)
    with capture_logs() as logged:
        async with stock_transcriber(StockTranscriber(ready_after=1.5)) as loading:
            assert await probe(Servers((loading.url,)), hello(0)) == loading.url
    (waiting,) = [line for line in logged if line["event"] == "transcriber.waiting"]
    assert waiting["servers"] == [loading.url]
    assert "60 s" in waiting["detail"]


async def test_a_ready_that_never_comes_is_no_transcriber(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bridge that takes the websocket and says something else: a code of its own, what it said, and what to do."""
    monkeypatch.setattr("bot.links.transcriber.link.START_TIMEOUT_S", 0.5)
    async with stock_transcriber(StockTranscriber(ready_after=30)) as bridge:
        with pytest.raises(EarshotError, match="never says that it is ready") as caught:
            await probe(Servers((bridge.url,)), hello(0))
    assert caught.value.code is SubCode.NOT_A_TRANSCRIBER
    assert caught.value.exit_code == 3
    assert "loading the model" in str(caught.value)
    assert "`whisperLiveUrl` must name the transcriber itself" in str(caught.value)


async def test_a_bridge_that_knows_no_such_session_is_no_transcriber() -> None:
    """It takes the websocket, says so in its own way and closes: not asked again."""
    async with stock_transcriber(StockTranscriber(instead=({"error": "session not found"},))) as bridge:
        with pytest.raises(EarshotError, match="session not found") as caught:
            await probe(Servers((bridge.url,)), hello(0))
        assert bridge.connections == 1
    assert caught.value.code is SubCode.NOT_A_TRANSCRIBER


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"error": "no", "transcript": "canary"}, '"error": "no", "transcript": "..."'),
        ({"uid": "another", "segments": [{"text": "canary"}], "text": "canary"}, '"segments": "..."'),
    ],
)
async def test_of_what_a_bridge_says_only_what_explains_is_shown(said: dict[str, Any], shown: str) -> None:
    """It may tell what somebody says in another meeting; the error is logged."""
    async with stock_transcriber(StockTranscriber(instead=(said,))) as bridge:
        with pytest.raises(EarshotError) as caught:
            await probe(Servers((bridge.url,)), hello(0))
    assert shown in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (
            HTTPStatus.NOT_FOUND,
            '{"detail": "session not found"}',
            "HTTP 404 instead of a websocket, .*session not found",
        ),
        (HTTPStatus.OK, "<html>", "HTTP 200 instead of a websocket"),
        (HTTPStatus.UPGRADE_REQUIRED, "", "HTTP 426 instead of a websocket"),
    ],
)
async def test_an_http_server_is_no_transcriber(status: HTTPStatus, body: str, words: str) -> None:
    """An HTTP bridge in the transcriber's place: said at once, in its own words, and not asked again."""
    async with stock_transcriber(StockTranscriber(status=status, body=body)) as bridge:
        with pytest.raises(EarshotError, match=words) as caught:
            await probe(Servers((bridge.url,)), hello(0))
        assert bridge.asked == 1
    assert caught.value.code is SubCode.NOT_A_TRANSCRIBER
    assert "a bridge" in str(caught.value)


async def test_a_port_where_nobody_listens_is_said_of_localhost_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """That name has two addresses, so that asyncio gives two reasons in one error without a number."""

    async def refused(*_: object) -> None:
        text = "[Errno 111] Connect call failed ('127.0.0.1', 9), [Errno 99] Cannot assign requested address"
        raise OSError(f"Multiple exceptions: {text}")

    monkeypatch.setattr("bot.links.transcriber.link.UNREACHABLE_TIMEOUT_S", 0.0)
    monkeypatch.setattr("bot.links.transcriber.link.dial", refused)
    with pytest.raises(EarshotError, match="localhost:9: connection refused") as caught:
        await probe(Servers(("ws://localhost:9",)), hello(0))
    assert caught.value.code is SubCode.TRANSCRIBER_UNREACHABLE


async def test_what_speaks_neither_http_nor_websocket_is_no_transcriber() -> None:
    """A port of something else: Redis, say."""

    async def redis(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"-ERR unknown command 'GET'\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(redis, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(EarshotError, match="not as a websocket server") as caught:
        await probe(Servers((f"ws://127.0.0.1:{port}",)), hello(0))
    assert caught.value.code is SubCode.NOT_A_TRANSCRIBER
    assert "must name the transcriber itself" in str(caught.value)
    assert "network" not in str(caught.value)
    server.close()
    await server.wait_closed()


async def test_nobody_is_followed_elsewhere() -> None:
    """A redirect would send audio and key to a server that nobody named."""
    works = ScriptedTranscriber()
    async with scripted_transcriber(works):
        bridge = StockTranscriber(status=HTTPStatus.FOUND, headers={"Location": works.url})
        async with stock_transcriber(bridge):
            with pytest.raises(EarshotError, match="HTTP 302") as caught:
                await probe(Servers((bridge.url,)), hello(0), "a-key")
    assert caught.value.code is SubCode.NOT_A_TRANSCRIBER
    assert works.connections == 0


async def test_the_most_preferred_of_those_that_are_ready_is_named() -> None:
    """All are asked at once; one line says which is used and where its URL came from, without its password."""
    works, fallback = ScriptedTranscriber(), ScriptedTranscriber()
    async with scripted_transcriber(works), scripted_transcriber(fallback):
        url = works.url.replace("//", "//user:s3cret@")
        urls = (f"ws://127.0.0.1:{free_port()}", url, fallback.url)
        sources = {url: "environment WHISPER_LIVE_URL_FALLBACK"}
        with capture_logs() as logged:
            await TranscriberLink(urls, hello, LaneNotes(), sources=sources).open()
    [line] = [line for line in logged if line["event"] == "transcriber.ready"]
    assert line["source"] == "environment WHISPER_LIVE_URL_FALLBACK"
    assert line["server"].endswith(works.url.removeprefix("ws://"))
    assert "s3cret" not in str(logged)


async def test_a_loading_first_server_does_not_keep_the_meeting_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one is ready: the bot starts on it, and the first is doubtful until the probe has seen it ready."""
    monkeypatch.setattr("bot.links.transcriber.link.PREFERENCE_S", 0.2)
    works = ScriptedTranscriber()
    async with stock_transcriber(StockTranscriber(ready_after=30)) as loading, scripted_transcriber(works):
        servers = Servers((loading.url, works.url))
        assert await probe(servers, hello(0)) == works.url
        assert servers.choose(0.0).url == works.url
