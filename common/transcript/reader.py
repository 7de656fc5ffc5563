"""A transcript's reader: one meeting from Redis as any consumer would read it, the history first and then live."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import redis.exceptions as errors
from redis.asyncio import Redis

from common.cancellation import checkpoint
from common.contracts.keys import SEGMENT_STREAM, live_channel
from common.contracts.status import SubCode
from common.errors import EarshotError
from common.redis import FAILURES, SOCKET_TIMEOUT_S, address, connect, explain, refused
from common.transcript.view import Row, TranscriptView

RECENT_ENTRIES = 2_000
"""Stream entries that are searched for history unless everything is wanted."""
PAGE_ENTRIES = 500
RETRY_S = 1.0


class TranscriptReader:
    """Reads one meeting from Redis into a view.

    Args:
        url: Redis URL.
        meeting_id: Which meeting.
        on_final: Called with each new final row.
    """

    def __init__(self, url: str, meeting_id: str, on_final: Callable[[Row], None] = lambda row: None) -> None:
        self.view = TranscriptView(meeting_id)
        self.problem = ""
        """Why Redis cannot be read at the moment; empty when it can."""
        self._url = url
        self._channel = live_channel(meeting_id)
        self._on_final = on_final
        self._last_id = "0-0"

    def _apply(self, payload: str | None) -> None:
        if payload is not None:
            for row in self.view.apply(payload):
                self._on_final(row)

    def _take(self, entries: Iterable[tuple[str, dict[str, str]]]) -> None:
        for entry_id, fields in entries:
            self._last_id = entry_id
            self._apply(fields.get("payload"))

    async def history(self, *, everything: bool) -> None:
        """Reads what the stream already has.

        Raises:
            EarshotError: REDIS_UNREACHABLE.
        """
        client = connect(self._url)
        try:
            if everything:
                await self._page_through(client)
            else:
                recent: Any = await client.xrevrange(SEGMENT_STREAM, count=RECENT_ENTRIES)
                self._take(reversed(recent))
        except FAILURES as error:
            raise EarshotError(
                SubCode.REDIS_UNREACHABLE,
                f"Redis at {address(self._url)} cannot be read: {explain(error)}. Check --redis (or REDIS_URL)",
            ) from None
        finally:
            await client.aclose()

    async def _page_through(self, client: Redis) -> None:
        while True:
            page: Any = await client.xrange(SEGMENT_STREAM, min=f"({self._last_id}", count=PAGE_ENTRIES)
            if not page:
                return
            self._take(page)

    async def follow(self, *, until_end: bool) -> None:
        """Follows the meeting until it ends (`until_end`) or until cancelled; survives a Redis that goes away."""
        async with asyncio.TaskGroup() as group:
            partials = group.create_task(self._retrying(self._follow_live))
            await self._retrying(lambda client: self._follow_stream(client, until_end))
            partials.cancel()

    async def _retrying(self, read: Callable[[Redis], Awaitable[None]]) -> None:
        while True:
            checkpoint()
            client = connect(self._url)
            try:
                await read(client)
                return
            except FAILURES as error:
                if refused(error):
                    raise EarshotError(
                        SubCode.REDIS_UNREACHABLE, f"Redis at {address(self._url)}: {explain(error)}"
                    ) from None
                self.problem = explain(error)
            finally:
                await client.aclose()
            await asyncio.sleep(RETRY_S)

    async def _follow_stream(self, client: Redis, until_end: bool) -> None:
        """Finals and session marks. Blocks in Redis for half of the socket's timeout at a time."""
        while not (until_end and self.view.ended):
            after: Any = {SEGMENT_STREAM: self._last_id}
            answer: Any = await client.xread(after, block=int(SOCKET_TIMEOUT_S * 500), count=PAGE_ENTRIES)
            checkpoint()
            self.problem = ""
            for _, entries in answer:
                self._take(entries)

    async def _follow_live(self, client: Redis) -> None:
        """Partials, and finals a little earlier than the stream."""
        async with client.pubsub() as subscription:
            await subscription.subscribe(self._channel)
            while True:
                checkpoint()
                message = await subscription.get_message(ignore_subscribe_messages=True, timeout=2.0)
                if message is not None:
                    self._apply(message["data"])
                elif self.problem:
                    raise errors.ConnectionError(self.problem)
