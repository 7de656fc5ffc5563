"""WHEP endpoints that answer too slowly, or too much."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from bot.platforms.whep import endpoint as whep
from bot.platforms.whep.endpoint import Endpoint
from bot.platforms.whep.settings import WhepSettings
from common.contracts.status import SubCode
from common.errors import EarshotError


@asynccontextmanager
async def answering(say: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[Endpoint]:
    """An endpoint whose server says this to whatever it is asked."""

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await say(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    visits: set[asyncio.Task[None]] = set()

    def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.add(asyncio.create_task(visit(reader, writer)))

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/whep"
    try:
        async with Endpoint(url, WhepSettings()) as endpoint:
            yield endpoint
    finally:
        server.close()
        for one in visits:
            one.cancel()
        await asyncio.gather(*visits, return_exceptions=True)


async def test_an_answer_that_trickles(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is none, after a while: each byte comes in time, and all of them never do."""
    monkeypatch.setattr(whep, "ANSWER_TIMEOUT_S", 0.5)

    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 201 Created\r\ncontent-type: application/sdp\r\n\r\n")
        while True:
            writer.write(b"v")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with answering(say) as endpoint, asyncio.timeout(5):
        with pytest.raises(OSError, match="no whole answer"):
            await endpoint.open("v=0")
        with pytest.raises(OSError, match="no whole answer"):
            await endpoint.ice_servers()


async def test_an_answer_without_end_takes_no_memory() -> None:
    """What is longer than any description is not read."""
    written = 0

    async def say(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 201 Created\r\ncontent-type: application/sdp\r\n\r\n")
        while written < 200_000_000:
            writer.write(bytes(100_000))
            written += 100_000
            await writer.drain()

    async with answering(say) as endpoint:
        with pytest.raises(EarshotError, match="no WHEP endpoint") as refused:
            await endpoint.open("v=0")
    assert refused.value.code is SubCode.ROOM_UNREACHABLE
    assert written < 50_000_000
