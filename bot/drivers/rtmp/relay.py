"""A relay: FFmpeg's connection to a server, as one of ours.

FFmpeg's network code blocks a thread, looks names up by itself and checks no certificate. So it connects to a socket on
the loopback interface, and this relay to the server: by the event loop, which refuses forbidden addresses
(`common.destinations.guard`), with certificates checked, and closed whenever we like, which ends FFmpeg's wait at once.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress

from common.problems import reason

CONNECT_TIMEOUT_S = 5.0
CHUNK_BYTES = 64 * 1024
HANDSHAKE_BYTES = 1 + 2 * 1536
"""What an RTMP server says first (S0, S1, S2)."""


class Relay:
    """One connection to `host:port`. Use as an async context manager.

    Attributes:
        received: Bytes that the server has sent.
        hung_up: Why there is no connection to the server any more; None: there is.
    """

    def __init__(self, host: str, port: int, *, tls: bool = False, quick_ack: bool = True) -> None:
        self._host, self._port, self._quick_ack = host, port, quick_ack
        self._tls = ssl.create_default_context() if tls else None
        self._tasks: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None
        self.received = 0
        self.hung_up: str | None = None
        self.first_byte = b""
        """With which the server answered: 3 of RTMP."""

    async def __aenter__(self) -> Relay:
        """Connects to the server. Raises OSError, TimeoutError included, with its reason as text."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                self._remote = await asyncio.open_connection(self._host, self._port, ssl=self._tls, limit=CHUNK_BYTES)
        except TimeoutError:
            raise OSError(f"no connection within {CONNECT_TIMEOUT_S:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise OSError(f"its certificate is not trusted: {error.verify_message}") from None
        except ssl.SSLError as error:
            raise OSError(f"TLS failed: {error.reason}") from None
        except OSError as error:
            raise OSError(reason(error)) from None
        self._writers.append(self._remote[1])
        try:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK_BYTES, backlog=1)
        finally:
            if self._server is None:
                self.cut()
        return self

    @property
    def port(self) -> int:
        """Where FFmpeg connects to on 127.0.0.1."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aexit__(self, *_: object) -> None:
        """Closes both connections at once."""
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Ends both connections, and whoever waits on them. May be called again."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """FFmpeg's connection is the first; nobody else gets one."""
        self._writers.append(writer)
        if self._tasks or self._server is None:
            writer.transport.abort()
            return
        self._server.close()
        loop = asyncio.get_running_loop()
        self._tasks.append(loop.create_task(self._ask(reader)))
        self._tasks.append(loop.create_task(self._answer(writer)))

    async def _ask(self, reader: asyncio.StreamReader) -> None:
        """FFmpeg's words to the server; when it has hung up, so do we."""
        with suppress(OSError):
            while words := await reader.read(CHUNK_BYTES):
                self._remote[1].write(words)
                try:
                    await self._remote[1].drain()
                except OSError as error:
                    self.hung_up = self.hung_up or reason(error)
                    break
        self.cut()

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        """The server's bytes to FFmpeg, no faster than it reads; when it has hung up, FFmpeg is told."""
        hung_up = "it closed the connection"
        self._acknowledge()
        try:
            while data := await self._remote[0].read(CHUNK_BYTES):
                self._acknowledge()
                self.first_byte = self.first_byte or data[:1]
                self.received += len(data)
                writer.write(data)
                await writer.drain()
        except OSError as error:
            hung_up = reason(error)
        self.hung_up = hung_up
        with suppress(OSError):
            writer.write_eof()

    def _acknowledge(self) -> None:
        """What came, now and not with what we say next: servers that wait for it before they send their next small
        message (Nagle; nginx-rtmp does) would wait up to 40 ms each time. Linux forgets it with what it sends."""
        if self._quick_ack and hasattr(socket, "TCP_QUICKACK"):
            with suppress(OSError):
                self._remote[1].get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
