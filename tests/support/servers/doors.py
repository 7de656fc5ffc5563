"""Doors before a server's signalling, which tests shut and open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Door:
    """A TCP proxy before the server's signalling, which can be shut."""

    def __init__(self, url: str) -> None:
        self._host, self._port = url.removeprefix("ws://").split(":")
        self._open = asyncio.Event()
        self._connections: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self.url = ""

    async def enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carries one connection to the server, or none while shut."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        if not self._open.is_set():
            writer.close()
            return
        inner, outer = await asyncio.open_connection(self._host, int(self._port))
        ends = {writer, outer}
        self._connections |= ends
        try:
            async with asyncio.TaskGroup() as ways:  # each to its own end: a server's last words are carried, too
                ways.create_task(_carry(reader, outer))
                ways.create_task(_carry(inner, writer))
        finally:
            for end in ends:
                end.transport.abort()
            self._connections -= ends

    def close(self) -> None:
        """Lets nobody in until `shut` is over."""
        self._open.clear()

    async def shut(self, seconds: float, dropping: bool = True) -> None:
        """Lets nobody in for so long; with `dropping` it breaks every connection, too."""
        self._open.clear()
        for writer in self._connections if dropping else ():
            writer.transport.abort()
        await asyncio.sleep(seconds)
        self._open.set()

    @asynccontextmanager
    async def standing(self) -> AsyncIterator[Door]:
        """The door on a free port of the server's address."""
        self._open.set()
        proxy = await asyncio.start_server(self.enter, self._host, 0)
        self.url = f"ws://{self._host}:{proxy.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            proxy.close()
            for writer in self._connections:
                writer.transport.abort()
            if self._serving:  # one that is still connecting ends by itself: cancelling it there would leak its socket
                await asyncio.wait(set(self._serving), timeout=2)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
