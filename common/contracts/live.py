"""Live messages: what those who watch a meeting now read on its pub/sub channel."""

from __future__ import annotations

from common.contracts.segments import Segment, _dumps


def live(meeting_id: int | str, segment: Segment) -> str:
    """Pub/sub message: one partial or final segment."""
    return _dumps({"type": "transcript", "meeting": {"id": meeting_id}, "segment": segment.as_json()})
