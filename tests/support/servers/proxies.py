"""TCP proxies that misbehave on purpose."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType

MAX_BEHIND_S = 1.0
"""So late may a busy process be with what it forwards and still make it up: its bandwidth is that of the line."""


class TcpProxy:
    """Forwards `port` to a target, and can lose replies or fall silent.

    Args:
        host: Target host.
        port: Target port.
        loses_reply: Asked for each chunk that comes back; True closes the connection instead of forwarding it: the
            server has done the work, the client never hears so.
        slice_bytes: Most bytes forwarded at once.
        bytes_per_s: Bandwidth of each way; None: unlimited.
        delay: Seconds that each chunk is kept, asked anew for each.
        listen: Address to listen on.
    """

    def __init__(
        self,
        host: str,
        port: int,
        loses_reply: Callable[[bytes], bool] = lambda chunk: False,
        *,
        slice_bytes: int = 65536,
        bytes_per_s: float | None = None,
        delay: Callable[[], float] = lambda: 0.0,
        listen: str = "127.0.0.1",
    ) -> None:
        self.target = (host, port)
        self._loses_reply = loses_reply
        self._slice_bytes = slice_bytes
        self._bytes_per_s = bytes_per_s
        self._delay = delay
        self._listen = listen
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.passing = asyncio.Event()
        """Cleared: a silent partition, nothing passes and nothing is closed."""
        self.passing.set()
        self.lost = 0
        self.connections = 0
        self.port = 0

    async def __aenter__(self) -> TcpProxy:
        self._server = await asyncio.start_server(self._connected, self._listen, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def lead_to(self, host: str, port: int) -> None:
        """Forwards to another target from now on, and breaks the connections that lead to the one before."""
        self.target = (host, port)
        for task in list(self._tasks):
            task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._forward(reader, writer)
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(*self.target)
        ways = [
            asyncio.ensure_future(self._pump(reader, there_writer, replies=False)),
            asyncio.ensure_future(self._pump(there_reader, writer, replies=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            there_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, replies: bool) -> None:
        clock, free_at = asyncio.get_running_loop().time, 0.0
        while chunk := await reader.read(65536):
            await self.passing.wait()
            if replies and self._loses_reply(chunk):
                self.lost += 1
                return
            if (delay := self._delay()) > 0:
                await asyncio.sleep(delay)
            for first in range(0, len(chunk), self._slice_bytes):
                writer.write(piece := chunk[first : first + self._slice_bytes])
                await writer.drain()
                if self._bytes_per_s:
                    free_at = max(free_at, clock() - MAX_BEHIND_S) + len(piece) / self._bytes_per_s
                    await asyncio.sleep(max(free_at - clock(), 0.0))
