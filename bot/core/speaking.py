"""Speaking, as the segments show it: a start with the first partial of a piece, an end with its final.

Of a mix it is known with the final, which is both.
"""

from __future__ import annotations

from bot.core.segments import UNKNOWN_SPEAKER
from common.contracts.segments import Segment
from common.contracts.speaker_events import SpeakerEvent

MAX_OPEN_PIECES = 1_024
"""Pieces that have begun and not ended. Policy when full: the oldest is forgotten, its end is not told."""


class Speaking:
    """The speaker events of one bot.

    Args:
        connection_id: The bot.
    """

    def __init__(self, connection_id: str) -> None:
        self._connection_id = connection_id
        self._open: dict[str, Segment] = {}

    def events(self, segment: Segment) -> list[SpeakerEvent]:
        """What a partial or a final says about who speaks; a partial that is taken back ends what it began."""
        began = self._open.pop(segment.segment_id, None)
        is_over = segment.completed or not segment.text
        found = []
        if began is None:
            if not segment.completed and (is_over or segment.speaker == UNKNOWN_SPEAKER):
                return []
            found.append(SpeakerEvent(self._connection_id, "SPEAKER_START", *_said(segment, segment.start)))
        if is_over:
            end = max(segment.end, began.end if began else segment.end)
            found.append(SpeakerEvent(self._connection_id, "SPEAKER_END", *_said(began or segment, end)))
            return found
        if len(self._open) >= MAX_OPEN_PIECES:
            del self._open[next(iter(self._open))]
        self._open[segment.segment_id] = segment
        return found


def _said(segment: Segment, at: float) -> tuple[int, str, str]:
    return round(at * 1000), segment.speaker, segment.speaker_id
