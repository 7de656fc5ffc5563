"""The seating plan of lanes: who speaks on which. A lane is one websocket to the transcriber, and there should be few.

For now each track that speaks gets a lane of its own, opened with its first utterance and closed after idle time.
Sharing lanes between speakers changes this file only: the rest of the bot asks for a seat and does not care.
"""

from __future__ import annotations

from dataclasses import dataclass

IDLE_TIMEOUT_S = 60.0
"""Seconds without an utterance after which a lane is closed."""


@dataclass(slots=True)
class _Lane:
    track_id: str
    used_at: float
    busy: bool = True


class Lanes:
    """The seating plan: track → lane. Lanes are numbered from 1 and never reused."""

    def __init__(self) -> None:
        self._lanes: dict[int, _Lane] = {}
        self._seats: dict[str, int] = {}
        self._opened = 0

    def seat(self, track_id: str, now: float) -> int:
        """The lane for an utterance of this track that begins now. A lane not seen before is to be opened."""
        if track_id not in self._seats:
            self._opened += 1
            self._seats[track_id] = self._opened
        number = self._seats[track_id]
        self._lanes[number] = _Lane(track_id, now)
        return number

    def rest(self, lane: int, now: float) -> None:
        """The utterance on this lane has ended."""
        self._lanes[lane].busy, self._lanes[lane].used_at = False, now

    def renew(self) -> None:
        """Later utterances go to new lanes (the language changed); the old ones are idle once they rest."""
        self._seats.clear()

    def idle(self, now: float) -> list[int]:
        """Lanes without a speaker: rested for a minute, or renewed."""
        return [
            number
            for number, lane in self._lanes.items()
            if not lane.busy and (now - lane.used_at >= IDLE_TIMEOUT_S or self._seats.get(lane.track_id) != number)
        ]

    def close(self, lane: int) -> None:
        """Forgets a lane."""
        closed = self._lanes.pop(lane)
        if self._seats.get(closed.track_id) == lane:
            del self._seats[closed.track_id]

    def __len__(self) -> int:
        """Lanes open."""
        return len(self._lanes)
