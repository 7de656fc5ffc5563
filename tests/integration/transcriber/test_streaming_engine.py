"""An engine that is fed audio and answers by itself, behind the real websocket: clients notice no difference."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import numpy as np
import pytest
from structlog.typing import EventDict
from websockets.asyncio.client import connect

from common.whisperlive.protocol import EXTENSIONS, Acked, Handshake, Segments
from tests.support.fakes.scripted_engine import silence, tone
from tests.support.fakes.stock_client import StockClient
from tests.support.fakes.streaming_engine import (
    MAX_UNDECIDED_SAMPLES,
    ScriptedVendor,
    sessions_of,
    streaming_vendor,
)
from tests.support.lanes import running_lane
from tests.support.transcribing import Serving, serving, talking
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow
OURS = Handshake("u", language="en", extensions=EXTENSIONS)


@asynccontextmanager
async def streaming() -> AsyncIterator[tuple[ScriptedVendor, Serving]]:
    """The vendor, and a transcriber in front of it."""
    async with streaming_vendor() as vendor, serving(sessions=sessions_of(vendor.url)) as running:
        yield vendor, running


async def test_its_partials_and_finals_are_segments_and_its_decisions_acknowledgements() -> None:
    """One id for an utterance from its first partial on; nothing after its final; all of it acknowledged."""
    async with streaming() as (_, running), talking(running.url, OURS) as client:
        await client.say(tone("alpha"), tone("bravo"))
        await client.until(lambda event: isinstance(event, Segments) and event.segments[-1].text == " alpha bravo")
        assert client.finals == []
        end = await client.end_utterance()
        await client.say(silence(0.3), tone("charlie"), silence(0.5))
        await client.acked(end + 12_000)
        assert client.text == ["alpha bravo", "charlie"]
        ids = [segment.segment_id for segment in client.segments]
        assert [a == b for a, b in pairwise(ids)].count(False) == 1
        assert [(s.start, s.end) for s in client.finals] == [(0.0, 1.2), (1.5, 2.1)]
        told = [event for event in client.events if isinstance(event, Segments | Acked)]
        assert isinstance(told[-1], Acked)


async def test_a_stock_client_gets_its_last_words_before_the_socket_closes() -> None:
    """END_OF_AUDIO ends the open utterance at the vendor; its answer is waited for."""
    stock = StockClient("s1")
    async with streaming() as (_, running), connect(running.url, proxy=None, ping_interval=None) as socket:
        await socket.send(Handshake("s1", language="en").serialise())
        for piece in (tone("alpha"), silence(0.8), tone("bravo"), tone("charlie")):
            await socket.send((piece.astype("<f4") / 32768).tobytes())
        await socket.send(b"END_OF_AUDIO")
        async for message in socket:
            stock.on_message(str(message))
        assert socket.close_code == 1000
    assert stock.subtitles() == [" alpha", " bravo charlie"]


async def test_a_vendor_that_falls_behind_slows_the_client_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has not decided is bounded; when it goes on, so does the client."""
    monkeypatch.setattr("transcriber.core.pace.MAX_READ_SPEED", 1000)
    words = ["alpha", "bravo", "charlie", "delta", "echo"] * 8
    async with streaming() as (vendor, running), talking(running.url, OURS) as client:
        vendor.go.clear()
        speaking = asyncio.create_task(client.say(*(np.concatenate([tone(word), silence(0.6)]) for word in words)))
        backlog = running.server._backlog
        await eventually(lambda: backlog() > MAX_UNDECIDED_SAMPLES / 16_000)
        await asyncio.sleep(0.2)
        assert backlog() < 2 + MAX_UNDECIDED_SAMPLES / 16_000 < len(words)
        vendor.go.set()
        await client.acked(int((len(words) - 0.5) * 1.2 * 16_000), timeout=15)
        await speaking
        assert client.text == words


async def test_a_stream_that_breaks_ends_its_client_alone_and_says_why(logged: list[EventDict]) -> None:
    """1011, so that a client tries again; the log names what happened, another stream goes on."""
    async with streaming() as (vendor, running), talking(running.url, OURS) as client:
        await client.say(tone("alpha"))
        await client.until(lambda event: isinstance(event, Segments))
        broken = set(vendor.streams)
        async with talking(running.url, OURS) as other:
            await eventually(lambda: len(vendor.streams) == 2)
            for stream in broken:
                stream.transport.abort()
            assert await client.rest() == 1011
            await other.say(tone("bravo"))
            await other.acked(await other.end_utterance())
            assert other.text == ["bravo"]
        [said] = [line for line in logged if line["log_level"] == "error"]
        assert (said["event"], said["uid"]) == ("client.engine_lost", "u")
        assert "the vendor's connection broke" in said["problem"]
        await eventually(lambda: running.server.clients == 0)


async def test_an_engine_that_cannot_be_reached_refuses_the_client() -> None:
    """Ready, then closed with 1011: the client tries again later."""
    nobody = sessions_of("ws://127.0.0.1:9")
    async with serving(sessions=nobody) as running, talking(running.url, OURS) as client:
        assert await client.rest() == 1011


async def test_a_bot_loses_no_word_when_the_vendor_drops_its_streams() -> None:
    """Its lane connects anew, says where it goes on, and sends again what was not decided: each word once."""
    words = ["alpha", "bravo", "charlie", "delta", "echo"]
    async with streaming() as (vendor, running), running_lane(running.url) as (lane, notes):
        for number, word in enumerate(words):
            lane.append(tone(word))
            if number == 2:
                await eventually(lambda: notes.texts[-1:] and "charlie" in notes.texts[-1].wire.text)
                vendor.drop()
            lane.end_utterance()
            end = (number + 1) * 9600
            await eventually(lambda end=end: notes.until >= end)  # type: ignore[misc]
    finals = [text.wire for text in notes.texts if text.wire.completed]
    assert [final.text.strip() for final in finals] == words
    assert [final.start for final in finals] == pytest.approx([0.6 * n for n in range(len(words))])
    assert notes.links == [False, True]
