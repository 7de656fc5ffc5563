"""The relay between FFmpeg and a server: what the server has sent arrives, however it hangs up."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import random
import socket
import termios
from contextlib import suppress

import pytest

from bot.drivers.rtmp.relay import Relay
from tests.support.waiting import eventually

SENT = random.Random(7).randbytes(120_000)


@pytest.mark.parametrize("patience_s", [0.0, 0.05], ids=["reads at once", "reads late"])
async def test_a_server_that_hangs_up_on_what_is_still_said_to_it(patience_s: float) -> None:
    """It has not read our last words, so its system answers them with a reset; what it sent before is heard."""
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(5)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(SENT)
        sock = writer.get_extra_info("socket")
        await eventually(lambda: not any(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4))))
        writer.write(SENT[:9])
        writer.close()
        gone.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, Relay("127.0.0.1", server.sockets[0].getsockname()[1]) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writer.write(b"hello")
        talking = asyncio.create_task(_talk(writer))
        if patience_s:
            await asyncio.wait_for(gone.wait(), 10)
            await asyncio.sleep(patience_s)
        heard = b""
        async with asyncio.timeout(10):
            while data := await reader.read(10_000):
                heard += data
                await asyncio.sleep(patience_s / 10)
        talking.cancel()
        writer.close()
    assert heard[: len(SENT)] == SENT
    assert relay.hung_up is not None


async def _talk(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"ack")
        await asyncio.sleep(0.001)


async def test_nobody_else_gets_a_connection() -> None:
    """FFmpeg's is the first; a second one is closed, and the first goes on."""

    over = asyncio.Event()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while words := await reader.read(100):
                writer.write(words)
        writer.close()
        over.set()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Relay("127.0.0.1", server.sockets[0].getsockname()[1]) as relay:
        port = relay.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"1")
        assert await asyncio.wait_for(reader.readexactly(1), 5) == b"1"
        with pytest.raises(OSError):  # noqa: PT011
            await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"2")
        assert await asyncio.wait_for(reader.readexactly(1), 5) == b"2"
        writer.close()
        await asyncio.wait_for(over.wait(), 5)


@pytest.mark.parametrize("turns", range(8))
async def test_who_is_let_in_as_the_relay_is_cut_is_shut_out(turns: int) -> None:
    """Whenever that is, from FFmpeg's connection in the queue to one that is there: it is closed all the same."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server, Relay("127.0.0.1", server.sockets[0].getsockname()[1]) as relay:
        with socket.create_connection(("127.0.0.1", relay.port)) as ffmpeg:
            ffmpeg.setblocking(False)
            for _ in range(turns):
                await asyncio.sleep(0)
            relay.cut()
            gc.collect()
            with suppress(ConnectionResetError):
                loop = asyncio.get_running_loop()
                assert await asyncio.wait_for(loop.sock_recv(ffmpeg, 1), 5) == b""
