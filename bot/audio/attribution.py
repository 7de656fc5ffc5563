"""Attribution of a mix: finals wait until it is known who spoke, and leave under their names, parted by their words.

Who knows that is a platform's floor (`bot.audio.floor`), or the tracks of the bot's own mix (`bot.audio.turns`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from bot.audio.floor import Floor
from bot.audio.turns import Turns
from bot.core.segments import UNKNOWN_SPEAKER, SegmentTracker
from common.audio.pcm import SAMPLE_RATE
from common.contracts.segments import Segment, Word


class Attribution:
    """The finals of one mix.

    Args:
        holders: Know who spoke when.
        tracker: Gives each part of a final an id of its own.
        name: Looks up the display name of a participant.
    """

    def __init__(self, holders: Floor | Turns, tracker: SegmentTracker, name: Callable[[str], str]) -> None:
        self._holders, self._tracker, self._name = holders, tracker, name
        self._waiting: deque[Segment] = deque()  # the finals of the last second

    @property
    def waits(self) -> bool:
        """Something is not said yet."""
        return bool(self._waiting)

    def add(self, final: Segment) -> None:
        """Of a mix; comes after all that were added before."""
        self._waiting.append(final)

    def take(self, now: float, *, at_the_end: bool = False) -> list[Segment]:
        """Finals, in order, once no report can change any more who spoke; all `at_the_end` of the meeting.

        Then tracks have no more to say, while a platform might have: what is not certain of its mix is nobody's.
        """
        found = []
        while self._waiting:
            is_certain = self._holders.certain_at(round(self._waiting[0].end * SAMPLE_RATE)) <= now
            is_certain |= at_the_end and isinstance(self._holders, Turns)
            if not is_certain and not at_the_end:
                break
            final = self._waiting.popleft()
            found += self._named(final) if is_certain else [replace(final, speaker=UNKNOWN_SPEAKER)]
        return found

    def _named(self, final: Segment) -> list[Segment]:
        """Under the names of who spoke, by its words in parts; under none where that is unknown."""
        whole = self._holders.speaker(*_samples(final))
        parts = [(0, whole)] if whole else self._holders.parts([_samples(word) for word in final.words or ()])
        split = self._tracker.split(final, [count for count, _ in parts])
        names = [who for _, who in parts] if len(split) == len(parts) else [None]
        return [
            replace(part, speaker=UNKNOWN_SPEAKER)
            if who is None
            else replace(part, speaker=self._name(who), speaker_id=who)
            for part, who in zip(split, names, strict=True)
        ]


def _samples(spoken: Segment | Word) -> tuple[int, int]:
    """Its times, 16 kHz samples since meeting time zero."""
    return round(spoken.start * SAMPLE_RATE), round(spoken.end * SAMPLE_RATE)
