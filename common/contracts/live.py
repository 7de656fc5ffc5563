"""Live messages: what those who watch a meeting now read on its pub/sub channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.contracts.json_values import field, identity, read_object, write
from common.contracts.segments import Segment


def live(meeting_id: int | str, segment: Segment) -> str:
    """Pub/sub message: one partial or final segment."""
    return write({"type": "transcript", "meeting": {"id": meeting_id}, "segment": segment.as_json()})


def parse_live(message: str | bytes) -> tuple[int | str, Segment]:
    """Meeting and segment of a live message. Raises ValueError."""
    value = read_object(message)
    if value.get("type") != "transcript":
        raise ValueError("type: transcript expected")
    meeting: Mapping[str, Any] = field(value, "meeting", dict)
    return identity(meeting, "id"), Segment.parse(field(value, "segment", dict))
