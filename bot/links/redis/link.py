"""The bot's link to Redis: segments and status stored exactly once and in order, live messages, heartbeat, commands."""

from __future__ import annotations

import asyncio
import contextlib
import random as random_module
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import redis.exceptions as errors
import structlog

from bot.core.outbox import Entry, LiveQueue, Outbox
from bot.links.redis.commands import CommandListener
from bot.links.redis.lock import RENEW_INTERVAL_S, Lock
from common.contracts import keys
from common.contracts.heartbeat import Heartbeat
from common.contracts.json_values import write
from common.contracts.status import SubCode
from common.errors import EarshotError
from common.redis import FAILURES, address, backoff, checkpoint, connect, explain, refused

log = structlog.get_logger(__name__)

OPEN_TIMEOUT_S = 7.0
"""Redis must be reachable within so long at the start."""
CLOSE_TIMEOUT_S = 2.0
HEARTBEAT_INTERVAL_S, HEARTBEAT_TTL_S = 10.0, 30
KEEP_S = 24 * 3600
"""How long sequence keys and the status stream outlive the bot."""
STATUS_STREAM_ENTRIES = 1_000
BATCH_ENTRIES, BATCH_BYTES = 100, 256_000
"""What one call of the script carries at most."""

_TAKE_OVER = """
redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
return redis.call('GET', KEYS[1]) or '0'
"""
"""Puts up our fence at a stream and reads, in one step, after which number we go on: the bot before us, should it still
be alive, stores nothing from here on. Our token and no counter: tried again after a lost reply, it changes nothing."""
_PUBLISH = Path(__file__).with_name("publish.lua").read_text(encoding="utf-8")
T = TypeVar("T")


class _Stream:
    """One stream that we fill: its keys, its outbox, and events that say `something waits` and `nothing waits`."""

    def __init__(self, key: str, sequence_key: str, fence_key: str, maxlen: int) -> None:
        self.key = key
        self.sequence_key = sequence_key
        self.fence_key = fence_key
        self.maxlen = maxlen
        self.outbox = Outbox()
        self.waiting = asyncio.Event()
        self.empty = asyncio.Event()
        self.empty.set()

    def put(self, payload: str) -> bool:
        """Takes a payload in; False when the outbox is full."""
        if self.outbox.put(payload, time.monotonic()) is None:
            return False
        self.empty.clear()
        self.waiting.set()
        return True

    def stored(self, sequence: int) -> None:
        """Everything up to `sequence` is safe."""
        self.outbox.stored(sequence)
        if not len(self.outbox):
            self.waiting.clear()
            self.empty.set()


class RedisLink:
    """Everything the bot says to Redis and hears from it.

    Use: `await open()`, then `run()` as a task for the bot's life; `publish_*` and `status` at any time after `open`;
    at the end `await flush(…)`, cancel `run`, `await close()`.

    Args:
        url: redis://, rediss:// or unix://.
        connection_id: Names the lock, the heartbeat, the status stream and one command channel.
        meeting_id: Names the live channel and the other command channel.
        platform, container_name: What the heartbeat says beside the ids.
        on_command: Called with every message on the bot's command channels.
        on_change: Called with (up, detail) when Redis is lost and when it is back.
        random: Numbers in [0, 1), for the jitter between tries.
    """

    def __init__(
        self,
        url: str,
        connection_id: str,
        meeting_id: int | str,
        *,
        platform: str = "",
        container_name: str | None = None,
        on_command: Callable[[str], None] = lambda message: None,
        on_change: Callable[[bool, str], None] = lambda up, detail: None,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self._address = address(url)
        self._client = connect(url)
        self._heartbeat = Heartbeat(connection_id, meeting_id, platform, container_name, at=0.0)
        self._on_change = on_change
        self._random = random
        self._up = True
        self._live_channel = keys.live_channel(meeting_id)
        self._heartbeat_key = keys.heartbeat(connection_id)
        self._token = uuid4().hex
        self._lock = Lock(connection_id, self._token)
        channels = keys.command_channels(connection_id, meeting_id)
        self._listener = CommandListener(channels, on_command)
        self._segments = _Stream(
            keys.SEGMENT_STREAM, keys.segment_sequence(connection_id), keys.segment_fence(connection_id), 0
        )
        self._status = _Stream(
            keys.status_stream(connection_id),
            keys.status_sequence(connection_id),
            keys.status_fence(connection_id),
            STATUS_STREAM_ENTRIES,
        )
        self._live = LiveQueue()
        self._live_waiting = asyncio.Event()
        self.durable = False
        """Whether Redis writes an append-only file: without one a crash of Redis loses what it had."""

    # --- start and end ------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Reaches Redis, takes the lock, subscribes to commands and continues the stored numbering.

        Raises:
            EarshotError: REDIS_UNREACHABLE within `OPEN_TIMEOUT_S`; DUPLICATE_BOT when another bot holds the lock.
        """
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self.close)
            await self._within(OPEN_TIMEOUT_S, self._probe)
            await self._within(2 * OPEN_TIMEOUT_S, lambda: self._lock.acquire(self._client))
            await self._within(OPEN_TIMEOUT_S, self._prepare)
            undo.pop_all()
        if not self.durable:
            log.warning(
                "redis_not_durable", redis=self._address, advice="turn on `appendonly yes`, `appendfsync everysec`"
            )

    async def _probe(self) -> None:
        """Asks for what must work later: the connection, our rights, and the kind of the stream's key."""
        await self._client.ping()
        kind = str(await self._client.type(keys.SEGMENT_STREAM))
        if kind not in ("none", "stream"):
            raise errors.ResponseError(f"its key {keys.SEGMENT_STREAM} is a {kind}, not a stream")

    async def _prepare(self) -> None:
        for stream in (self._segments, self._status):
            own = stream.sequence_key, stream.fence_key
            stream.outbox = Outbox(after=int(await self._client.eval(_TAKE_OVER, 2, *own, self._token, KEEP_S)))
        await self._listener.subscribe(self._client)
        try:
            self.durable = bool((await self._client.info("persistence")).get("aof_enabled"))
        except errors.ResponseError:  # INFO is forbidden to our user: unknown, so not promised
            self.durable = False

    async def _within(self, seconds: float, attempt: Callable[[], Awaitable[T]]) -> T:
        """Tries until it works; gives up after `seconds`, or at once when Redis says no for good."""
        failure: Exception = TimeoutError()
        tries = 0
        try:
            async with asyncio.timeout(seconds):
                while True:
                    checkpoint()
                    try:
                        return await attempt()
                    except FAILURES as error:
                        failure = error
                        if refused(error):
                            break
                    await asyncio.sleep(backoff(tries, self._random))
                    tries += 1
        except TimeoutError:
            pass
        raise EarshotError(
            SubCode.REDIS_UNREACHABLE,
            f"Redis at {self._address} cannot be used: {explain(failure)}. "
            "Check `redisUrl` (or REDIS_URL), that Redis is running, and that both are on the same network",
        )

    async def flush(self, timeout: float) -> int:
        """Waits until everything is stored, at most `timeout` seconds (`run` must be running); returns what is left."""
        streams = (self._segments, self._status)
        try:
            async with asyncio.timeout(timeout):
                for stream in streams:
                    await stream.empty.wait()
        except TimeoutError:
            pass
        return sum(len(stream.outbox) for stream in streams)

    async def close(self, timeout: float = CLOSE_TIMEOUT_S) -> None:
        """Releases the lock, takes the heartbeat away, closes every connection; within `timeout` seconds, no errors."""
        try:
            async with asyncio.timeout(timeout):
                await self._listener.close()
                if await self._lock.release(self._client):  # else the heartbeat is another bot's
                    await self._client.delete(self._heartbeat_key)
                await self._client.aclose()
        except (*FAILURES, TimeoutError) as error:
            log.info("redis_closed_without_goodbye", error=explain(error))
            await self._client.connection_pool.disconnect(inuse_connections=True)

    # --- what the bot says --------------------------------------------------------------------------------------------

    def publish_final(self, payload: str) -> bool:
        """Queues a payload for the segment stream; False when the outbox is full: try later."""
        if self._segments.put(payload):
            return True
        log.error("outbox_full", waiting=len(self._segments.outbox), refused=self._segments.outbox.refused)
        return False

    def publish_live(self, segment_id: str, message: str, final: bool) -> None:
        """Offers a message to those who watch now, best effort; a newer one of the same segment replaces it."""
        self._live.put(segment_id, message, final)
        self._live_waiting.set()

    def status(self, event: Mapping[str, Any]) -> bool:
        """Queues an event for the status stream (JSON, field `payload`); False when the outbox is full."""
        if self._status.put(write(event)):
            return True
        log.error("status_lost", waiting=len(self._status.outbox))
        return False

    @property
    def backlog(self) -> tuple[int, float]:
        """How many finals wait for Redis, and for how many seconds the oldest has."""
        return len(self._segments.outbox), self._segments.outbox.oldest_age(time.monotonic())

    @property
    def full(self) -> bool:
        """Whether the next final may be refused: hold back (acknowledge nothing more to the transcriber)."""
        return self._segments.outbox.full

    # --- the work -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serves the link until cancelled; no failure of Redis ends it.

        Raises:
            EarshotError: DUPLICATE_BOT when another bot took over.
            RuntimeError: One of its tasks ended, or was cancelled by somebody else: a bug.
        """
        work = {
            "segments": self._drain(self._segments),
            "status": self._drain(self._status),
            "live": self._send_live(),
            "lock": self._repeat(RENEW_INTERVAL_S, self._renew),
            "heartbeat": self._repeat(HEARTBEAT_INTERVAL_S, self._beat),
            "commands": self._listener.run(self._client, self._random),
        }
        tasks = [asyncio.create_task(coroutine, name=f"redis-{name}") for name, coroutine in work.items()]
        try:  # no TaskGroup: it says nothing of a task that was cancelled from within
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            ended = done.pop()
            if not ended.cancelled() and (failure := ended.exception()):
                raise failure
            raise RuntimeError(f"{ended.get_name()} came to an end, or was cancelled from within")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _drain(self, stream: _Stream) -> None:
        tries = 0
        while True:
            checkpoint()
            await stream.waiting.wait()
            batch = stream.outbox.batch(BATCH_ENTRIES, BATCH_BYTES)
            try:
                stored = await self._store(stream, batch)
            except FAILURES as error:
                self._changed(False, explain(error))
                await asyncio.sleep(backoff(tries, self._random))
                tries += 1
                continue
            tries = 0
            self._changed(True, "")
            if stored != batch[-1].sequence:  # refused by another's fence, or numbers that we never gave
                raise self._lock.taken()
            stream.stored(stored)

    async def _store(self, stream: _Stream, batch: tuple[Entry, ...]) -> int:
        """Sends a batch; returns the sequence number up to which Redis has everything, or -1: another took over."""
        entries = [part for entry in batch for part in (entry.sequence, entry.payload)]
        own = stream.key, stream.sequence_key, stream.fence_key
        return int(await self._client.eval(_PUBLISH, 3, *own, self._token, KEEP_S, stream.maxlen, *entries))

    async def _send_live(self) -> None:
        tries = 0
        while True:
            checkpoint()
            await self._live_waiting.wait()
            message = self._live.take()
            if message is None:
                self._live_waiting.clear()
                continue
            try:
                await self._client.publish(self._live_channel, message)
            except FAILURES as error:
                self._changed(False, explain(error))
                await asyncio.sleep(backoff(tries, self._random))
                tries += 1
            else:
                tries = 0

    async def _repeat(self, seconds: float, action: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await action()
                checkpoint()
            except FAILURES as error:
                self._changed(False, explain(error))
                await asyncio.sleep(backoff(2, self._random))
            else:
                self._changed(True, "")
                await asyncio.sleep(seconds)

    async def _renew(self) -> None:
        if await self._lock.take(self._client) is not None:
            raise self._lock.taken()

    async def _beat(self) -> None:
        """Says that we live, and keeps what expires after our end from expiring before it."""
        async with self._client.pipeline(transaction=False) as pipeline:
            beat = replace(self._heartbeat, at=time.time())
            pipeline.set(self._heartbeat_key, write(beat.as_json()), ex=HEARTBEAT_TTL_S)
            for stream in (self._segments, self._status):
                pipeline.expire(stream.sequence_key, KEEP_S)
                pipeline.expire(stream.fence_key, KEEP_S)
            pipeline.expire(self._status.key, KEEP_S)
            await pipeline.execute()

    def _changed(self, up: bool, detail: str) -> None:
        if up == self._up:
            return
        self._up = up
        if up:
            log.info("redis_back", redis=self._address, waiting=len(self._segments.outbox))
        else:
            log.warning("redis_lost", redis=self._address, error=detail)
        self._on_change(up, detail)
