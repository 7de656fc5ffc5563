"""Heartbeat: what a bot writes again and again under its key while it lives; the key expires soon after it does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from common.contracts.json_values import field, identity, optional, read_object


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A bot lives.

    Args:
        connection_id: The bot.
        meeting_id: As configured: number or text.
        platform: Where its meeting is.
        container_name: As configured.
        at: Seconds since 1970.
    """

    connection_id: str
    meeting_id: int | str
    platform: str
    container_name: str | None
    at: float

    def as_json(self) -> dict[str, Any]:
        """The value of the key."""
        return {
            "connection_id": self.connection_id,
            "meeting_id": self.meeting_id,
            "platform": self.platform,
            "container_name": self.container_name,
            "at": round(self.at, 3),
        }


def parse_heartbeat(value: str | bytes) -> Heartbeat:
    """Reads the value; unknown keys are ignored. Raises ValueError."""
    beat = read_object(value)
    return Heartbeat(
        connection_id=field(beat, "connection_id", str),
        meeting_id=identity(beat, "meeting_id"),
        platform=field(beat, "platform", str),
        container_name=optional(beat, "container_name", str),
        at=field(beat, "at", float),
    )
