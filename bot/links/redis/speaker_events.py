"""The link to a collector that takes names from a stream of their own: speaker events, beside the segments.

A sink of `bot.reporting`. An event that is sent twice (its reply was lost) is one for the collector, so there are no
numbers; what Redis cannot take is tried again in order, until the bot ends.
"""

from __future__ import annotations

import asyncio
import random as random_module
from collections import deque
from collections.abc import Mapping
from typing import Any

from bot.core.speaking import Speaking
from common.cancellation import checkpoint
from common.contracts.keys import SPEAKER_STREAM
from common.contracts.live import parse_live
from common.redis import FAILURES, backoff, connect

MAX_EVENTS = 10_000
"""Events that wait for Redis. Policy when full: the oldest goes, and counts as not stored."""


class SpeakerEventLink:
    """Writes who speaks. Use: `run()` as a task for the bot's life; `await flush(…)`, cancel `run`, `await close()`.

    Args:
        url: Of Redis.
        connection_id: The bot.
    """

    stores = True

    def __init__(self, url: str, connection_id: str) -> None:
        self._client = connect(url)
        self._speaking = Speaking(connection_id)
        self._events: deque[dict[str, str]] = deque()
        self._waiting, self._empty = asyncio.Event(), asyncio.Event()
        self._empty.set()
        self._lost = 0

    def status(self, event: Mapping[str, Any]) -> bool:
        """Nothing: this is not about the bot."""
        return True

    def publish_final(self, payload: str) -> bool:
        """Nothing: the same segment comes as a live message."""
        return True

    def publish_live(self, segment_id: str, message: str, final: bool) -> None:
        """Takes from a partial or a final who speaks."""
        for event in self._speaking.events(parse_live(message)[1]):
            if len(self._events) == MAX_EVENTS:
                self._events.popleft()
                self._lost += 1
            self._events.append(event.fields())
            self._empty.clear()
            self._waiting.set()

    async def run(self) -> None:
        """Stores events until cancelled."""
        tries = 0
        while True:
            checkpoint()
            await self._waiting.wait()
            fields = self._events[0]
            try:
                await self._client.xadd(SPEAKER_STREAM, fields)  # type: ignore[arg-type]  # its dict is invariant
            except FAILURES:  # the link to Redis beside this one says so
                await asyncio.sleep(backoff(tries, random_module.random))
                tries += 1
                continue
            tries = 0
            if self._events and self._events[0] is fields:  # else it fell out meanwhile
                self._events.popleft()
            if not self._events:
                self._waiting.clear()
                self._empty.set()

    async def flush(self, timeout: float) -> int:
        """Waits until everything is stored, at most `timeout` seconds (`run` must be running); returns what is left."""
        try:
            async with asyncio.timeout(timeout):
                await self._empty.wait()
        except TimeoutError:
            pass
        return len(self._events) + self._lost

    async def close(self) -> None:
        """Closes the connection."""
        await self._client.aclose()
