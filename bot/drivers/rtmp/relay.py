"""A relay: FFmpeg's connection to a server, as one of ours.

FFmpeg's network code blocks a thread, looks names up by itself and checks no certificate. So it connects to a socket on
the loopback interface, and this relay to the server: by the event loop, which refuses forbidden addresses
(`common.destinations.guard`), with certificates checked, and closed whenever we like, which ends FFmpeg's wait at once.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

from common.problems import reason

CONNECT_TIMEOUT_S = 5.0
HANDSHAKE_BYTES = 1 + 2 * 1536
"""What an RTMP server says first (S0, S1, S2)."""


class Relay:
    """One connection to `host:port`. Use as an async context manager.

    What the server has sent before it hung up reaches FFmpeg, whatever FFmpeg says meanwhile.

    Attributes:
        received: Bytes that the server has sent.
        first_byte: With which the server answered: 3 of RTMP.
        hung_up: Why there is no connection to the server any more; None: there is.
    """

    def __init__(self, host: str, port: int, *, tls: bool = False, quick_ack: bool = True) -> None:
        self._host, self._port, self._quick_ack = host, port, quick_ack
        self._tls = ssl.create_default_context() if tls else None
        self._server = _Side(self._pace, self._of_server, self._server_gone)
        self._ffmpeg = _Side(self._pace, self._of_ffmpeg, self._ffmpeg_gone)
        self._listener: socket.socket | None = None
        self._letting_in: asyncio.Task[object] | None = None
        self._is_cut = False
        self.received = 0
        self.first_byte = b""
        self.hung_up: str | None = None

    async def __aenter__(self) -> Relay:
        """Connects to the server. Raises OSError, TimeoutError included, with its reason as text."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await loop.create_connection(lambda: self._server, self._host, self._port, ssl=self._tls)
        except TimeoutError:
            raise OSError(f"no connection within {CONNECT_TIMEOUT_S:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise OSError(f"its certificate is not trusted: {error.verify_message}") from None
        except ssl.SSLError as error:
            raise OSError(f"TLS failed: {error.reason}") from None
        except OSError as error:
            raise OSError(reason(error)) from None
        try:
            # Not asyncio's server: closed between a connection and its transport, it leaves that open (`_attach`).
            self._listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        finally:
            if self._listener is None:
                self.cut()
        self._listener.setblocking(False)
        loop.add_reader(self._listener, self._accept)
        return self

    @property
    def port(self) -> int:
        """Where FFmpeg connects to on 127.0.0.1."""
        assert self._listener is not None
        port: int = self._listener.getsockname()[1]
        return port

    async def __aexit__(self, *_: object) -> None:
        """Closes both connections at once."""
        self.cut()
        if self._letting_in is not None:  # it comes, and is cut then
            await asyncio.wait({self._letting_in})

    def cut(self) -> None:
        """Ends both connections, and whoever waits on them. May be called again."""
        self._is_cut = True
        self._close_listener()
        for side in (self._server, self._ffmpeg):
            if side.transport is not None:
                side.transport.abort()

    def _accept(self) -> None:
        """FFmpeg's connection is the first; nobody else gets one."""
        assert self._listener is not None
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # it is gone already
            return
        self._close_listener()
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        self._letting_in = loop.create_task(loop.connect_accepted_socket(lambda: self._ffmpeg, connection))

    def _close_listener(self) -> None:
        if self._listener is not None and self._listener.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()

    def _pace(self) -> None:
        """The server is read while FFmpeg is there and has room. FFmpeg's words wait as long: a server that has hung up
        answers them with a reset, and what it had sent and was not read yet would be gone."""
        if self._is_cut:  # FFmpeg was being let in meanwhile
            self.cut()
            return
        from_server = self._ffmpeg.transport is not None and not self._ffmpeg.is_full
        self._server.read(from_server)
        self._ffmpeg.read(from_server and not self._server.is_full)

    def _of_server(self, data: bytes) -> None:
        """The server's bytes to FFmpeg."""
        self._acknowledge()
        self.first_byte = self.first_byte or data[:1]
        self.received += len(data)
        self._ffmpeg.write(data)

    def _of_ffmpeg(self, words: bytes) -> None:
        """FFmpeg's words to the server, after what came from there at the same time (`_pace` says why)."""
        asyncio.get_running_loop().call_soon(self._server.write, words)

    def _server_gone(self, error: Exception | None) -> None:
        """FFmpeg is told, behind what it has not read yet."""
        if not self._is_cut:
            self.hung_up = "it closed the connection" if error is None else reason(error)
        self._ffmpeg.write_eof()

    def _ffmpeg_gone(self, _: Exception | None) -> None:
        """When it has hung up, so do we."""
        self.cut()

    def _acknowledge(self) -> None:
        """What came, now and not with what we say next: servers that wait for it before they send their next small
        message (Nagle; nginx-rtmp does) would wait up to 40 ms each time. Linux forgets it with what it sends."""
        if self._quick_ack and hasattr(socket, "TCP_QUICKACK") and self._server.transport is not None:
            with suppress(OSError):
                sock = self._server.transport.get_extra_info("socket")
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


class _Side(asyncio.Protocol):
    """One of the two connections."""

    def __init__(
        self, paced: Callable[[], None], heard: Callable[[bytes], None], gone: Callable[[Exception | None], None]
    ) -> None:
        self._paced, self._heard, self._gone = paced, heard, gone
        self.transport: asyncio.Transport | None = None
        self.is_full = False
        """Whether it has not taken yet what it was sent."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._paced()

    def pause_writing(self) -> None:
        self.is_full = True
        self._paced()

    def resume_writing(self) -> None:
        self.is_full = False
        self._paced()

    def data_received(self, data: bytes) -> None:
        self._heard(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone(exc)

    def read(self, goes: bool) -> None:
        if self.transport is not None:
            (self.transport.resume_reading if goes else self.transport.pause_reading)()

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def write_eof(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write_eof()
