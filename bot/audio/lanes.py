"""Who speaks on which lane. A lane is one websocket to the transcriber; its cost is why there should be few.

For now each track that speaks gets a lane of its own, opened with its first utterance and closed after idle time.
Sharing lanes between speakers changes this file only: the rest of the bot asks for a seat and does not care.
"""

from __future__ import annotations

from dataclasses import dataclass

IDLE_CLOSE = 60.0
"""Seconds without an utterance after which a lane is closed."""


@dataclass(slots=True)
class _Lane:
    lane_id: int
    used_at: float
    busy: bool = True


class Lanes:
    """The seating plan: track → lane."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._opened = 0

    def seat(self, track_id: str, now: float) -> int:
        """The lane for an utterance of this track that begins now. A lane not seen before is to be opened."""
        lane = self._lanes.get(track_id)
        if lane is None:
            self._opened += 1
            lane = self._lanes[track_id] = _Lane(self._opened, now)
        lane.busy, lane.used_at = True, now
        return lane.lane_id

    def rest(self, track_id: str, now: float) -> None:
        """The utterance of this track has ended."""
        lane = self._lanes[track_id]
        lane.busy, lane.used_at = False, now

    def idle(self, now: float) -> list[int]:
        """Lanes to close now, for want of speech; they are forgotten by this call."""
        idle = {
            track_id: lane.lane_id
            for track_id, lane in self._lanes.items()
            if not lane.busy and now - lane.used_at >= IDLE_CLOSE
        }
        for track_id in idle:
            del self._lanes[track_id]
        return list(idle.values())

    def __len__(self) -> int:
        """Lanes open."""
        return len(self._lanes)
