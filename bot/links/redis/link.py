"""The bot's link to Redis: segments and status stored exactly once and in order, live messages, heartbeat, commands."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random as random_module
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import redis.exceptions as errors
import structlog

from bot.core.outbox import LiveQueue
from bot.links.redis.commands import CommandListener
from bot.links.redis.lock import RENEW_INTERVAL_S, Lock
from bot.links.redis.retention import TRIM_INTERVAL_S, Retention
from bot.links.redis.spill import Spill
from bot.links.redis.stream import KEEP_S, Stream, TakenOver
from common.cancellation import checkpoint
from common.contracts import keys
from common.contracts.heartbeat import Heartbeat
from common.contracts.json_values import write
from common.contracts.status import SubCode
from common.errors import EarshotError
from common.redis import FAILURES, address, backoff, connect, explain, refused

log = structlog.get_logger(__name__)

OPEN_TIMEOUT_S = 7.0
"""Redis must be reachable within so long at the start."""
CLOSE_TIMEOUT_S = 2.0
HEARTBEAT_INTERVAL_S, HEARTBEAT_TTL_S = 10.0, 30
STATUS_STREAM_ENTRIES = 1_000
T = TypeVar("T")


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
        spill_dir: Folder of a file for finals that memory has no room for.
        retention: What is kept of the segment stream; None: all of it.
        on_change: Called with (up, detail) when Redis is lost and when it is back.
        on_full: Called with (full, detail) when finals have no room any more, and when they have it again.
        on_stored: Called with the seconds that a final or a session mark has waited for Redis.
        on_gone: Called with how many finals and session marks Redis had stored and has lost for good.
        random: Numbers in [0, 1), for the jitter between tries.
    """

    stores = True

    def __init__(
        self,
        url: str,
        connection_id: str,
        meeting_id: int | str,
        *,
        platform: str = "",
        container_name: str | None = None,
        on_command: Callable[[str], None] = lambda message: None,
        spill_dir: str | None = None,
        retention: Retention | None = None,
        on_change: Callable[[bool, str], None] = lambda up, detail: None,
        on_full: Callable[[bool, str], None] = lambda full, detail: None,
        on_stored: Callable[[float], None] = lambda seconds: None,
        on_gone: Callable[[int], None] = lambda entries: None,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self._address = address(url)
        self._client = connect(url)
        self._heartbeat = Heartbeat(connection_id, meeting_id, platform, container_name, at=0.0)
        self._on_change = on_change
        self._on_full = on_full
        self._is_full = False
        self._random = random
        self._failing: dict[str, str] = {}
        self._spill_dir = spill_dir
        self._retention = retention
        self._live_channel = keys.live_channel(meeting_id)
        self._heartbeat_key = keys.heartbeat(connection_id)
        self._token = uuid4().hex
        self._lock = Lock(connection_id, self._token)
        channels = keys.command_channels(connection_id, meeting_id)
        self._listener = CommandListener(channels, on_command)
        self._segments = Stream(
            keys.SEGMENT_STREAM,
            keys.segment_sequence(connection_id),
            keys.segment_fence(connection_id),
            self._token,
            zero_key=keys.meeting_zero(connection_id),
            on_stored=on_stored,
            on_gone=on_gone,
        )
        self._status = Stream(
            keys.status_stream(connection_id),
            keys.status_sequence(connection_id),
            keys.status_fence(connection_id),
            self._token,
            keep=STATUS_STREAM_ENTRIES,
        )
        self._zero_key = keys.meeting_zero(connection_id)
        self.zero: float | None = None
        """Meeting time zero, Unix seconds, as the bot before us has kept it; None: there was none."""
        self._live = LiveQueue()
        self._live_waiting = asyncio.Event()
        self.durable = False
        """Whether Redis writes an append-only file: without one a crash of Redis loses what it had."""

    # --- start and end ------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Reaches Redis, takes the lock, subscribes to commands and continues the stored numbering.

        Raises:
            EarshotError: REDIS_UNREACHABLE within `OPEN_TIMEOUT_S`; DUPLICATE_BOT when another bot holds the lock;
                CONFIG_INVALID when there can be no spill file.
        """
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self.close)
            self._open_spill()
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

    def _open_spill(self) -> None:
        if self._spill_dir is not None:
            try:
                self._segments.spill = Spill(Path(self._spill_dir))
            except OSError as error:
                why = f"no file can be made in `redis.spillDir` ({self._spill_dir}): {error.strerror}"
                raise EarshotError(SubCode.CONFIG_INVALID, why) from None

    async def _prepare(self) -> None:
        for stream in (self._segments, self._status):
            await stream.take_over(self._client)
        zero = await self._client.get(self._zero_key)
        with contextlib.suppress(ValueError):  # none, or something that is none of a bot's
            self.zero = at if math.isfinite(at := float(zero or "")) else None
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

    async def store_now(self) -> None:
        """Stores a batch of each stream without `run`. Raises what `run` would try again after."""
        for stream in (self._segments, self._status):
            await stream.store(self._client)

    async def flush(self, timeout: float) -> int:
        """Waits until everything is stored, at most `timeout` seconds (`run` must be running).

        Returns:
            How many entries are left, and how many finals and session marks Redis has lost for good.
        """
        streams = (self._segments, self._status)
        try:
            async with asyncio.timeout(timeout):
                for stream in streams:
                    await stream.empty.wait()
        except TimeoutError:
            pass
        return sum(map(len, streams)) + self._segments.gone

    async def close(self, timeout: float = CLOSE_TIMEOUT_S) -> None:
        """Releases the lock, takes the heartbeat away, closes every connection; within `timeout` seconds, no errors."""
        try:
            async with asyncio.timeout(timeout):
                if await self._lock.release(self._client):  # else the heartbeat is another bot's
                    await self._client.delete(self._heartbeat_key)
                await self._listener.close()
                await self._client.aclose()
        except (*FAILURES, TimeoutError) as error:
            log.info("redis_closed_without_goodbye", error=explain(error))
            await self._client.connection_pool.disconnect(inuse_connections=True)
        if self._segments.spill is not None:
            self._segments.spill.close()

    # --- what the bot says --------------------------------------------------------------------------------------------

    def publish_final(self, payload: str) -> bool:
        """Queues a payload for the segment stream; False when there is no room: it is lost."""
        taken = self._segments.put(payload)
        self._watch_room()
        return taken

    def keep_zero(self, zero: float) -> None:
        """Meeting time zero was at `zero`, Unix seconds: kept for a bot that is started again in our place."""
        self._segments.zero = f"{zero:.3f}"

    def publish_live(self, segment_id: str, message: str, final: bool) -> None:
        """Offers a message to those who watch now, best effort; a newer one of the same segment replaces it."""
        self._live.put(segment_id, message, final)
        self._live_waiting.set()

    def status(self, event: Mapping[str, Any]) -> bool:
        """Queues an event for the status stream (JSON, field `payload`); False when there is no room: it is lost.

        The last of the room is for the lifecycle: in a long outage other events go first, and are not counted as lost.
        """
        if self._status.is_full and event.get("event") != "status":
            log.warning("status_event_left_out", waiting=len(self._status), kind=event.get("event"))
            return True
        if self._status.put(write(event)):
            return True
        log.error("status_lost", waiting=len(self._status))
        return False

    @property
    def backlog(self) -> tuple[int, float]:
        """How many finals wait for Redis, and for how many seconds the oldest has."""
        return len(self._segments), self._segments.oldest_age

    @property
    def is_full(self) -> bool:
        """Whether finals may soon be refused: send the transcriber nothing more, so that it has nothing more to say."""
        return self._is_full

    # --- the work -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serves the link until cancelled; no failure of Redis ends it.

        Raises:
            EarshotError: DUPLICATE_BOT when another bot took over.
            RuntimeError: One of its tasks ended, or was cancelled by somebody else: a bug.
        """
        work = {
            "segments": self._drain("segments", self._segments),
            "status": self._drain("status", self._status),
            "live": self._send_live(),
            "lock": self._repeat("lock", RENEW_INTERVAL_S, self._renew),
            "heartbeat": self._repeat("heartbeat", HEARTBEAT_INTERVAL_S, self._beat),
            "commands": self._listener.run(self._client, self._random),
        }
        if self._retention is not None and self._retention.is_wanted:
            retention = self._retention
            work["retention"] = self._repeat("retention", TRIM_INTERVAL_S, lambda: retention.trim(self._client))
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

    async def _drain(self, name: str, stream: Stream) -> None:
        tries = 0
        while True:
            checkpoint()
            await stream.wait()
            try:
                await stream.store(self._client)
            except TakenOver:
                raise self._lock.taken() from None
            except FAILURES as error:
                await self._failed(name, error)
                await asyncio.sleep(backoff(tries, self._random))
                tries += 1
                continue
            tries = 0
            self._succeeded(name)
            self._watch_room()

    async def _send_live(self) -> None:
        """Best effort: that nobody could be told is no state of the link, which flapped if this were all that fails."""
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
                if tries == 0:
                    log.warning("live_not_published", redis=self._address, error=explain(error))
                await asyncio.sleep(backoff(tries, self._random))
                tries += 1
            else:
                tries = 0

    async def _repeat(self, name: str, seconds: float, action: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await action()
                checkpoint()
            except FAILURES as error:
                await self._failed(name, error)
                await asyncio.sleep(backoff(2, self._random))
            else:
                self._succeeded(name)
                await asyncio.sleep(seconds)

    async def _renew(self) -> None:
        if await self._lock.take(self._client) is not None:
            raise self._lock.taken()

    async def _beat(self) -> None:
        """Says that we live, and keeps what expires after our end from expiring before it."""
        async with self._client.pipeline(transaction=False) as pipeline:
            beat = replace(self._heartbeat, at=time.time())
            pipeline.set(self._heartbeat_key, write(beat.as_json()), ex=HEARTBEAT_TTL_S)
            for key in (*self._segments.kept_keys, *self._status.kept_keys):
                pipeline.expire(key, KEEP_S)
            pipeline.expire(self._status.key, KEEP_S)
            await pipeline.execute()

    def _watch_room(self) -> None:
        """Says once that there is no room any more, and once that there is."""
        if self._segments.is_full == self._is_full:
            return
        self._is_full = not self._is_full
        waiting = len(self._segments)
        if not self._is_full:
            log.info("outbox_has_room", waiting=waiting)
            self._on_full(False, f"{waiting} finals wait for Redis: there is room again")
            return
        why = self._segments.spill.problem if self._segments.spill else "`redis.spillDir` would give them a file"
        log.error("outbox_full", waiting=waiting, advice=why)
        self._on_full(True, f"{waiting} finals wait for Redis, and no audio is sent until there is room; {why}")

    async def _failed(self, name: str, error: Exception) -> None:
        """One of our tasks could not do its work. The link is up again when each of them can."""
        was_up, self._failing[name] = not self._failing, explain(error)
        if isinstance(error, errors.ReadOnlyError):  # a primary that became a replica: the name may lead to the new one
            await self._client.connection_pool.disconnect(inuse_connections=False)
        if was_up:
            log.warning("redis_lost", redis=self._address, error=explain(error))
            self._on_change(False, explain(error))

    def _succeeded(self, name: str) -> None:
        if self._failing.pop(name, None) is not None and not self._failing:
            log.info("redis_back", redis=self._address, waiting=len(self._segments))
            self._on_change(True, "")
