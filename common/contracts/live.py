"""Live messages: what those who watch a meeting now read on its pub/sub channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.contracts.json_values import field, identity, read_object, write
from common.contracts.segments import Segment
from common.contracts.times import iso_utc


def live(meeting_id: int | str, segment: Segment, at: float, drafted_as: str = "") -> str:
    """Pub/sub message: one partial or final segment; `at`: Unix seconds; `drafted_as`: whose draft it was, if nobody's.

    `confirmed` is added by segment_id, `pending` replaces every draft of the speaker: a partial that is taken back, or
    has become final, leaves none.
    """
    value = segment.as_json()
    is_draft = not segment.completed and bool(segment.text)
    return write(
        {
            "type": "transcript",
            "meeting": {"id": meeting_id},
            "speaker": drafted_as or segment.speaker_id,
            "confirmed": [value] if segment.completed else [],
            "pending": [value] if is_draft else [],
            "segment": value,
            "ts": iso_utc(at),
        }
    )


def parse_live(message: str | bytes) -> tuple[int | str, Segment]:
    """Meeting and segment of a live message. Raises ValueError."""
    value = read_object(message)
    if value.get("type") != "transcript":
        raise ValueError("type: transcript expected")
    meeting: Mapping[str, Any] = field(value, "meeting", dict)
    return identity(meeting, "id"), Segment.parse(field(value, "segment", dict))
