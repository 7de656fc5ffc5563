"""`earshot tail`: a meeting's transcript from Redis as any consumer would read it, the history first and then live."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import redis.exceptions as errors
from redis.asyncio import Redis
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from bot.core.errors import EarshotError, SubCode
from bot.links.redis import SEGMENT_STREAM
from bot.links.redis_connection import FAILURES, SOCKET_TIMEOUT, address, checkpoint, connect, explain, refused
from bot.transcript_view import Row, TranscriptView

RECENT_ENTRIES = 2_000
"""Stream entries that are searched for history unless everything is wanted."""
PAGE = 500
RETRY_SECONDS = 1.0
FRAMES_PER_SECOND = 8


class Tail:
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
        self._channel = f"tc:meeting:{meeting_id}:mutable"
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
            page: Any = await client.xrange(SEGMENT_STREAM, min=f"({self._last_id}", count=PAGE)
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
            await asyncio.sleep(RETRY_SECONDS)

    async def _follow_stream(self, client: Redis, until_end: bool) -> None:
        """Finals and session marks. Blocks in Redis for half of the socket's timeout at a time."""
        while not (until_end and self.view.ended):
            after: Any = {SEGMENT_STREAM: self._last_id}
            answer: Any = await client.xread(after, block=int(SOCKET_TIMEOUT * 500), count=PAGE)
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


async def tail(url: str, meeting_id: str, *, since_start: bool, follow: bool, plain: bool) -> None:
    """Shows the transcript on standard output: a live view on a terminal, else (or `plain`) one line per final.

    Args:
        url: Redis URL.
        meeting_id: Which meeting.
        since_start: Read the whole stream first, not only its last `RECENT_ENTRIES` entries.
        follow: Stay when the meeting ends.
        plain: Lines even on a terminal.
    """
    console = Console(highlight=False, markup=False)
    if plain or not console.is_terminal:

        def write(row: Row) -> None:
            sys.stdout.write(f"{row.line}\n")
            sys.stdout.flush()

        reader = Tail(url, meeting_id, write)
        await reader.history(everything=since_start)
        await reader.follow(until_end=not follow)
        return
    reader = Tail(url, meeting_id)
    await reader.history(everything=since_start)
    with Live(console=console, auto_refresh=False, screen=True) as live:
        async with asyncio.TaskGroup() as group:
            painter = group.create_task(_paint(live, reader))
            await reader.follow(until_end=not follow)
            painter.cancel()
    for row in reader.view.rows():
        console.print(row.line)


async def _paint(live: Live, reader: Tail) -> None:
    while True:
        size = live.console.size
        state = reader.problem or ("the meeting has ended" if reader.view.ended else "live; Ctrl-C ends")
        live.update(
            Group(reader.view.render(size.width, size.height - 2), Text(f"── {state}", style="dim")), refresh=True
        )
        await asyncio.sleep(1 / FRAMES_PER_SECOND)
