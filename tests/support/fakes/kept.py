"""A sink of reports that keeps what it gets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class Kept:
    """A sink that keeps what it gets."""

    stores = True

    def __init__(self) -> None:
        self.events: list[Mapping[str, Any]] = []
        self.live: list[dict[str, Any]] = []
        self.finals = 0

    def status(self, event: Mapping[str, Any]) -> bool:
        """Keeps it."""
        self.events.append(event)
        return True

    def publish_final(self, payload: str) -> bool:
        """Counts it."""
        self.finals += 1
        return True

    def publish_live(self, segment_id: str, message: str, final: bool) -> None:
        """Keeps it."""
        self.live.append(json.loads(message))

    async def flush(self, timeout: float) -> int:
        """Nothing waits."""
        return 0
