"""A guest of an SFU's room: comes, may sing, and goes, whatever becomes of the server meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

from bot.platforms.sfu.line import LineBroken
from tests.support.servers.singing import Singer


class SfuGuest:
    """Somebody in a room, on a connection of their own."""

    def __init__(self, room: str, who: str) -> None:
        self.room, self.who = room, who
        self.singer: Singer | None = None
        self._over, self._joined = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None]

    def _entered(self, *given: Any) -> AbstractAsyncContextManager[None]:
        """The connection, in the room."""
        raise NotImplementedError

    async def join(self, *given: Any) -> None:
        """Joins."""
        self._task = asyncio.create_task(self._stay(*given))
        joined = asyncio.create_task(self._joined.wait())
        await asyncio.wait({self._task, joined}, return_when=asyncio.FIRST_COMPLETED)
        if not self._joined.is_set():
            joined.cancel()
            await self._task

    async def _stay(self, *given: Any) -> None:
        with suppress(LineBroken, OSError):
            async with self._entered(*given):
                self._joined.set()
                await self._over.wait()

    async def _silence(self) -> None:
        if self.singer is not None:
            await self.singer.close()
            self.singer = None

    async def leave(self) -> None:
        """Leaves, whatever has become of the server."""
        self._over.set()
        await self._silence()
        await asyncio.gather(self._task, return_exceptions=True)
