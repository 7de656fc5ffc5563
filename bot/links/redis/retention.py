"""Retention of the segment stream: how much of it is kept, never less than its consumers have yet to read."""

from __future__ import annotations

import time
from pathlib import Path

import structlog
from redis.asyncio import Redis

from common.contracts.keys import SEGMENT_STREAM

log = structlog.get_logger(__name__)

TRIM_INTERVAL_S = 60.0
_TRIM = Path(__file__).with_name("trim.lua").read_text(encoding="utf-8")


class Retention:
    """Trims the segment stream; a group that is behind, or has not acknowledged, keeps what it needs.

    Args:
        keep_entries: More entries than about this many are trimmed, the oldest first; None: no such bound.
        keep_hours: Entries older than this are trimmed; None: no such bound.
    """

    def __init__(self, keep_entries: int | None, keep_hours: float | None) -> None:
        self._keep_entries = keep_entries
        self._keep_hours = keep_hours
        self._holder = ""

    @property
    def is_wanted(self) -> bool:
        """Whether there is a bound at all."""
        return self._keep_entries is not None or self._keep_hours is not None

    async def trim(self, client: Redis) -> None:
        """Trims what may go. Raises redis.exceptions.RedisError, OSError."""
        oldest = "" if self._keep_hours is None else f"{int((time.time() - self._keep_hours * 3600) * 1000)}-0"
        holder = str(await client.eval(_TRIM, 1, SEGMENT_STREAM, self._keep_entries or 0, oldest))
        if holder and holder != self._holder:
            advice = f"its consumers are behind; if it is not used any more: XGROUP DESTROY {SEGMENT_STREAM} GROUP"
            log.warning("stream_held_by_group", group=holder, advice=advice)
        self._holder = holder
