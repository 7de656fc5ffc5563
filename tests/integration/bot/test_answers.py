"""Answers of HTTP servers are read within a time and a size. The server is scripted, on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import pytest

from bot.answers import answer_of


@asynccontextmanager
async def server(head: str, piece: bytes, pause: float) -> AsyncIterator[str]:
    """Answers with this head, and then with this piece for ever; gives its URL."""
    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):  # or the test is over
                await reader.readuntil(b"\r\n\r\n")
                writer.write(f"HTTP/1.1 {head}\r\n\r\n".encode())
                while True:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(pause)
        finally:
            writer.transport.abort()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    finally:
        listening.close()
        for task in serving:
            assert task is not None
            task.cancel()
        await asyncio.gather(*filter(None, serving), return_exceptions=True)


async def test_of_a_body_without_an_end_the_beginning_is_read() -> None:
    """As many bytes as were asked for, with the status and the headers, and nothing unpacked."""
    async with (
        server("201 Created\r\nContent-Encoding: gzip\r\nLink: <a>\r\nLink: <b>", b"x" * 65_536, 0) as url,
        httpx.AsyncClient(trust_env=False, verify=False) as client,
    ):
        answer = await answer_of(client, "POST", url, seconds=10, most=1000, headers={"X-Our": "1"}, content="v=0")
        await asyncio.sleep(0.05)  # httpcore's generators end by themselves, a moment later
    assert (answer.status_code, answer.text) == (201, "x" * 1000)
    assert answer.headers.get_list("link") == ["<a>", "<b>"]
    assert "content-encoding" not in answer.headers


async def test_who_answers_byte_by_byte_is_not_waited_for() -> None:
    """The time is for the whole answer, not for each piece of it."""
    async with server("200 OK", b"x", 0.05) as url, httpx.AsyncClient(trust_env=False, verify=False) as client:
        with pytest.raises(TimeoutError):
            await answer_of(client, "GET", url, seconds=0.3, most=1000)
