"""The seating plan of lanes: who speaks on which. A lane is one websocket to the transcriber, and there should be few.

How plane, plan and links play together (the plane is `bot.audio.plane`, a link `bot.links.transcriber.lane.Lane`):

- An utterance asks for a seat when it begins. A lane holds one track's undecided audio at a time: it changes hands only
  when the server has *decided* everything sent on it. So whatever a link sends again after a break is one speaker's.
- A link says with each greeting what the server grants (`LaneListener.granted`). Only where that is `utterance` and
  `segment_language` may a free lane go to another speaker. Before the first greeting, and on a stock server (it keeps
  one language for its connection and needs silence to end an utterance), a lane belongs to the one who spoke on it.
- At the bound a free lane of somebody else's is closed for a new one: a new connection is nobody's yet. Where no lane
  is free the utterance waits, with its audio, in the plane (`bot.audio.waiting`), first come, first served; somebody
  who holds a lane queues, too, with their next utterance while others wait.
- After a change of settings (`renew`) utterances begin on new lanes; what is undecided on the old ones is finished
  there, and they are closed as soon as it is. Old and new ones together are at most twice the bound.
- Words of one speaker are decided in their order: an utterance waits while an earlier one of theirs, which has ended,
  is undecided on another lane (an old one, or that of a track which they had before a reconnect).
- A link keeps what is undecided in its `Replay`. The plane alone counts what a track has undecided, waiting or sent,
  and when that is over 60 s orders the oldest away (`LaneDrop`): one bound, one gap, reported once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

RENEWED_FACTOR = 2
"""× the bound: lanes open at once, those included that finish what was begun before a change."""
IDLE_TIMEOUT_S = 60.0
"""Seconds without an utterance after which a lane is closed."""


@dataclass(slots=True)
class _Lane:
    holder: str | None
    """Track whose audio is undecided; None: the lane is free."""
    owner: str | None
    """Track whose voice the present connection has heard; None: nobody's. Matters where lanes are not shared."""
    is_shared: bool = False
    """The server tells utterances and their languages apart."""
    is_renewed: bool = False
    """Another one takes its place: no utterance begins on it any more."""
    used_at: float = 0.0


class Lanes:
    """The seating plan: track → lane. Lanes are numbered from 1 and never reused.

    Args:
        most: Lanes open at once; as many again may finish what was begun on them before `renew`. None: one for each
            track that speaks.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._lanes: dict[int, _Lane] = {}
        self._opened = 0

    def seat(self, track_id: str) -> tuple[int | None, int | None]:
        """A seat for an utterance of this track that begins now.

        Returns:
            The lane (to be opened if it was not seen before), or None when it must wait; and a lane to close first.
        """
        lanes = {number: lane for number, lane in self._lanes.items() if not lane.is_renewed}
        held = next((number for number, lane in lanes.items() if lane.holder == track_id), None)
        if held is not None:
            return held, None
        free = {number: lane for number, lane in lanes.items() if lane.holder is None}
        for number, lane in free.items():  # the lowest: lanes beyond what is needed fall idle
            if (lane.is_shared and self._most is not None) or lane.owner in (track_id, None):
                lane.holder = lane.owner = track_id
                return number, None
        closed = None
        if self._most is not None and len(lanes) >= self._most:
            if not free:
                return None, None
            closed = min(free, key=lambda number: free[number].used_at)
            del self._lanes[closed]
        elif self._most is not None and len(self._lanes) >= RENEWED_FACTOR * self._most:
            return None, None
        self._opened += 1
        self._lanes[self._opened] = _Lane(track_id, track_id)
        return self._opened, closed

    def granted(self, lane: int, extensions: frozenset[str]) -> None:
        """A connection of this lane was greeted; it has heard nobody but whoever has undecided audio."""
        if seat := self._lanes.get(lane):
            seat.is_shared = {"utterance", "segment_language"} <= extensions
            seat.owner = seat.holder

    def holder(self, lane: int) -> str | None:
        """The track whose audio on it is undecided."""
        seat = self._lanes.get(lane)
        return seat.holder if seat else None

    def seats(self, track_id: str, lane: int) -> bool:
        """The track's next utterance would be on this lane, behind what it has there."""
        seat = self._lanes.get(lane)
        return seat is not None and seat.holder == track_id and not seat.is_renewed

    def held_by(self, track_id: str) -> int | None:
        """The lane on which this track has undecided audio, if there is any: there is never another one."""
        return next((number for number, lane in self._lanes.items() if lane.holder == track_id), None)

    def free(self, lane: int, now: float) -> bool:
        """The server has decided everything sent on it. False: another has taken its place, and it is forgotten."""
        seat = self._lanes[lane]
        seat.holder, seat.used_at = None, now
        if seat.is_renewed:
            del self._lanes[lane]
        return not seat.is_renewed

    def renew(self) -> list[int]:
        """Later utterances go to new lanes (the language changed); forgets, and returns, those that are free."""
        for lane in self._lanes.values():
            lane.is_renewed = True
        return self._forget(lambda lane: True)

    def close_idle(self, now: float) -> list[int]:
        """Forgets, and returns, free lanes that nobody has used for a minute."""
        return self._forget(lambda lane: now - lane.used_at >= IDLE_TIMEOUT_S)

    def _forget(self, is_over: Callable[[_Lane], bool]) -> list[int]:
        """Of the free lanes."""
        over = [number for number, lane in self._lanes.items() if lane.holder is None and is_over(lane)]
        for number in over:
            del self._lanes[number]
        return over

    def __len__(self) -> int:
        """Lanes open."""
        return len(self._lanes)
