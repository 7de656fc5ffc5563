"""Turns of speech on the tracks of a mix: who was heard when, by each track's own speech gate, and when only one was.

The mix of the bot's own making (`bot.audio.mixer`) has no need of a platform's reports: it has the tracks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, groupby

from common.audio.pcm import SAMPLE_RATE

MARGIN_SAMPLES = SAMPLE_RATE // 10
"""Samples (100 ms) on both sides in which nobody else may be heard: word times are no better than that."""
SETTLE_S = 0.7
"""Seconds after which a turn that began is known: gates take 0.1 s to open, and tracks come up to 0.2 s apart."""
MAX_TURNS = 500
"""Turns kept that are over; the oldest goes. Far more than the minute or two in which text comes back."""


@dataclass(slots=True)
class _Turn:
    speaker: str | None
    """None: a track of several people."""
    start: int
    end: int | None = None
    """One past the last sample; None while it goes on."""


class Turns:
    """The turns of one mix. Samples are the meeting's.

    Args:
        zero: Monotonic seconds of meeting time zero.
    """

    def __init__(self, zero: float) -> None:
        self._zero = zero
        self._over: deque[_Turn] = deque(maxlen=MAX_TURNS)
        self._open: dict[str, _Turn] = {}  # one for each track that is heard, for however long it has been

    def began(self, track_id: str, speaker: str | None, sample: int) -> None:
        """Somebody is heard on a track from this sample on."""
        self._open[track_id] = _Turn(speaker, sample)

    def ended(self, track_id: str, sample: int) -> None:
        """Nobody is from this sample on."""
        if turn := self._open.pop(track_id, None):
            turn.end = sample
            self._over.append(turn)

    def speaker(self, start: int, end: int) -> str | None:
        """Who said what lies in meeting samples [start, end), as participant id; None: nobody, or not one alone."""
        first, last = start - MARGIN_SAMPLES, end + MARGIN_SAMPLES
        turns = chain(self._over, self._open.values())
        heard = {turn.speaker for turn in turns if turn.start < last and (turn.end is None or turn.end > first)}
        return next(iter(heard)) if len(heard) == 1 else None

    def parts(self, words: Sequence[tuple[int, int]]) -> list[tuple[int, str | None]]:
        """Who said which words of one text, as `Floor.parts` tells it."""
        runs = groupby(words, lambda word: self.speaker(*word))
        return [(len(list(run)), who) for who, run in runs]

    def certain_at(self, end: int) -> float:
        """Monotonic seconds from which on `speaker(…, end)` does not change any more."""
        return self._zero + end / SAMPLE_RATE + SETTLE_S
