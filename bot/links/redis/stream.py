"""One stream that a bot fills: what waits for it, in memory and in a file, and the script that stores it once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import structlog
from redis.asyncio import Redis

from bot.core.outbox import Entry, Outbox
from bot.links.redis.spill import Spill

log = structlog.get_logger(__name__)

KEEP_S = 24 * 3600
"""How long what a bot keeps for its successor outlives it."""
BATCH_ENTRIES, BATCH_BYTES = 100, 256_000
"""What one call of the script carries at most."""
CHECK_INTERVAL_S = 2.0
"""Seconds between looks whether Redis still has what it had, while there is nothing to store."""

_TAKE_OVER = """
redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
return redis.call('GET', KEYS[1]) or '0'
"""
"""Puts up our fence at a stream and reads, in one step, after which number we go on: the bot before us, should it still
be alive, stores nothing from here on. Our token and no counter: tried again after a lost reply, it changes nothing."""
_PUBLISH = Path(__file__).with_name("publish.lua").read_text(encoding="utf-8")


class TakenOver(Exception):
    """Another bot stores in our place."""


class Stream:
    """One stream that we fill, in order and exactly once.

    Args:
        key: The stream.
        sequence_key, fence_key: Beside it, in its hash slot.
        token: Who we are: different for every process.
        zero_key: Where meeting time zero is kept; empty: nowhere.
        keep: Entries that the stream keeps; 0: all.
        on_stored: Called with the seconds that an entry has waited.
        on_gone: Called with how many entries the store has lost that we cannot send again.
    """

    def __init__(
        self,
        key: str,
        sequence_key: str,
        fence_key: str,
        token: str,
        *,
        zero_key: str = "",
        keep: int = 0,
        on_stored: Callable[[float], None] = lambda seconds: None,
        on_gone: Callable[[int], None] = lambda entries: None,
    ) -> None:
        self.key = key
        self.kept_keys = [sequence_key, fence_key] + ([zero_key] if zero_key else [])
        """Keys that expire `KEEP_S` after the bot."""
        self._sequence_key, self._fence_key = sequence_key, fence_key
        self._token = token
        self._keep = keep
        self._on_stored = on_stored
        self._on_gone = on_gone
        self._outbox = Outbox()
        self.spill: Spill | None = None
        """A file for what memory has no room for."""
        self.zero = ""
        """Meeting time zero as it is kept, Unix seconds."""
        self._waiting = asyncio.Event()
        self.gone = 0
        """Entries that the store has lost for good."""
        self.empty = asyncio.Event()
        """Set while nothing waits."""
        self.empty.set()

    def __len__(self) -> int:
        return len(self._outbox) + (len(self.spill) if self.spill else 0)

    @property
    def is_full(self) -> bool:
        """Whether the producer has to hold back."""
        if self.spill is None:
            return self._outbox.is_full
        return bool(self.spill.problem) and (len(self.spill) > 0 or self._outbox.is_full)

    @property
    def oldest_age(self) -> float:
        """Seconds that the oldest entry has waited."""
        return self._outbox.oldest_age(time.monotonic())

    def put(self, payload: str) -> bool:
        """Takes a payload in; False when there is no room."""
        now = time.monotonic()
        if self.spill is not None and (len(self.spill) or self._outbox.is_full):
            if not self.spill.put(payload, now):
                return False
        elif self._outbox.put(payload, now) is None:
            return False
        self.empty.clear()
        self._waiting.set()
        return True

    async def take_over(self, client: Redis) -> None:
        """Puts up our fence and goes on where the bot before us stopped."""
        own = self._sequence_key, self._fence_key
        self._outbox = Outbox(after=int(await client.eval(_TAKE_OVER, 2, *own, self._token, KEEP_S)))

    async def wait(self) -> None:
        """Returns when there is something to store, or to ask."""
        try:
            async with asyncio.timeout(CHECK_INTERVAL_S):
                await self._waiting.wait()
        except TimeoutError:
            pass

    async def store(self, client: Redis) -> None:
        """Sends a batch, if only to hear where Redis stands.

        Raises:
            TakenOver: Another bot has put up its fence, or stored numbers that we never gave.
            redis.exceptions.RedisError, OSError: It may or may not be stored.
        """
        batch = self._outbox.batch(BATCH_ENTRIES, BATCH_BYTES)
        keys = self.key, *self.kept_keys
        entries = [part for entry in batch for part in (entry.sequence, entry.payload)]
        known = self._outbox.stored_until
        answer = await client.eval(
            _PUBLISH, len(keys), *keys, self._token, KEEP_S, self._keep, known, self.zero, *entries
        )
        self._answered(batch, int(answer))

    def _answered(self, batch: tuple[Entry, ...], stored: int) -> None:
        known = self._outbox.stored_until
        if stored == -1 or stored > (batch[-1].sequence if batch else known):
            raise TakenOver
        if stored < known:
            again, gone = self._outbox.forgotten(stored)
            log.warning("redis_forgot", stream=self.key, sent_again=again, gone=gone)
            if gone:
                self.gone += gone
                self._on_gone(gone)
        else:
            now = time.monotonic()
            for entry in self._outbox.stored(stored, now):
                self._on_stored(now - entry.since)
        while self.spill is not None and len(self.spill) and not self._outbox.is_full:
            self._outbox.put(*self.spill.take())
        if len(self._outbox):
            self._waiting.set()
            self.empty.clear()
        else:
            self._waiting.clear()
            self.empty.set()
