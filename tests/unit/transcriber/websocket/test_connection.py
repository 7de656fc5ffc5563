"""How long a client may take to read."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest
from websockets.asyncio.server import ServerConnection

from common.metrics import total
from common.whisperlive.protocol import ServerProtocol
from transcriber.core.answers import StreamAnswers
from transcriber.metrics import Metrics
from transcriber.sessions import Session
from transcriber.websocket.connection import WRITE_CHECK_S, WRITE_STALL_S, Connection


class Reader:
    """A socket whose peer reads so many bytes at a time until it stops; messages wait until the buffer is empty."""

    def __init__(self, piece: int, every: float) -> None:
        self.buffer = 0
        self.gone_at: float | None = None
        self._piece, self._every = piece, every
        self._empty = asyncio.Event()
        self.transport = SimpleNamespace(
            get_extra_info=lambda name: ("192.0.2.1", 40_000),
            get_write_buffer_size=lambda: self.buffer,
            is_closing=lambda: self.gone_at is not None,
            abort=self._abort,
        )

    async def read(self, pieces: int) -> None:
        """So often."""
        for _ in range(pieces):
            await asyncio.sleep(self._every)
            self.buffer = max(0, self.buffer - self._piece)
            if not self.buffer:
                self._empty.set()

    async def send(self, message: str) -> None:
        """Takes it at once, returns when all is read."""
        self.buffer += len(message)
        self._empty.clear()
        await self.drain()

    async def drain(self) -> None:
        """As `send`, with nothing to say."""
        await self._empty.wait()

    def _abort(self) -> None:
        self.gone_at = asyncio.get_running_loop().time()
        self._empty.set()


async def send(reader: Reader, size: int) -> Metrics:
    """One message of so many bytes."""
    metrics = Metrics()
    connection = Connection(
        cast(ServerConnection, reader), ServerProtocol(), cast(Session, None), StreamAnswers(), metrics
    )
    await connection._send("x" * size)
    return metrics


async def test_a_client_that_reads_slowly_is_waited_for(virtual_time: None) -> None:
    """A byte every nine seconds, for three minutes."""
    reader = Reader(1, WRITE_STALL_S - 1)
    reading = asyncio.create_task(reader.read(20))
    metrics = await send(reader, 20)
    assert (reader.buffer, reader.gone_at, total(metrics.closed)) == (0, None, 0)
    await reading


async def test_a_client_that_has_stopped_reading_is_not(virtual_time: None) -> None:
    """Ten seconds without a byte, also if it read some before."""
    began = asyncio.get_running_loop().time()
    reader = Reader(1, 1)
    metrics = await send(reader, 100)
    assert reader.gone_at == pytest.approx(began + WRITE_STALL_S)
    assert total(metrics.closed) == 1
    again = Reader(10, 1)
    began = asyncio.get_running_loop().time()
    reading = asyncio.create_task(again.read(5))
    await send(again, 100)
    assert again.gone_at == pytest.approx(began + 5 + WRITE_STALL_S, abs=WRITE_CHECK_S)
    await reading
