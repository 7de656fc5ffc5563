"""The floor of a mix: who was speaking when, as the platform shows it, for text that comes back without a speaker.

Platforms show the active speaker late, and hold it for a while: near a change nobody can say whose words they were. So
the answer is `None`, unknown, unless one person alone held the floor during all of a stretch, margins included.
"""

from __future__ import annotations

from collections import deque

MARGIN_S = 0.5
"""Seconds around a stretch in which the floor must not change either: pages repaint their speaker in 0.2 to 0.5 s."""
MEMORY_S = 180.0
"""Seconds for which changes are remembered: text comes back within the replay bound (60 s) and a decoding."""
MAX_CHANGES = 10_000
"""Bound of what is remembered. Policy when full: the oldest change goes; before it, everything is unknown."""


class Floor:
    """Who holds the floor of one meeting's mixed tracks. Times are seconds on one clock."""

    def __init__(self) -> None:
        self._changes: deque[tuple[float, frozenset[str]]] = deque(maxlen=MAX_CHANGES)

    def report(self, participant_ids: frozenset[str], at: float) -> None:
        """These people hold it from `at` on. A report that is older than the last one counts from there."""
        if self._changes:
            last_at, holders = self._changes[-1]
            at = max(at, last_at)
            if holders == participant_ids:
                return
        self._changes.append((at, participant_ids))
        while len(self._changes) > 1 and self._changes[1][0] < at - MEMORY_S:
            self._changes.popleft()

    def speaker(self, start: float, end: float) -> str | None:
        """The one who held it alone during all of [start, end], margins included; None: unknown, never a guess."""
        holders: frozenset[str] | None = None
        for at, who in self._changes:
            if at <= start - MARGIN_S:
                holders = who
            elif at <= end + MARGIN_S:
                return None
        return next(iter(holders)) if holders is not None and len(holders) == 1 else None

    def changes(self, start: float, end: float) -> list[float]:
        """When it changed in (start, end]: an utterance of a mix is cut there."""
        return [at for at, _ in self._changes if start < at <= end]
