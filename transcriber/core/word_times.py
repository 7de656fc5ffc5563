"""Word times: in order, inside their segment, none without length, whatever alignments of several passes say."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

MIN_WORD_S = 0.02
"""One encoder output: what an alignment can tell apart."""


def in_order(times: Sequence[tuple[float, float]], start: float, end: float) -> list[tuple[float, float]]:
    """Start and end of each word, changed so that they fit between `start` and `end`.

    A word begins no later than any that follows it: one that is put too late carries none of them with it. It ends
    where the next one begins, at the latest. Where there is less room than `MIN_WORD_S` for each, all get an equal
    share of it as their least length.
    """
    count = len(times)
    least = min(MIN_WORD_S, (end - start) / count) if count else 0.0
    starts: list[float] = []
    latest = list(itertools.accumulate((first for first, _ in reversed(times)), min))[::-1]
    for number, first in enumerate(latest):
        earliest = starts[-1] + least if starts else start
        starts.append(max(earliest, min(first, end - (count - number) * least)))
    limits = [*starts, end][1:]
    return [
        (first, min(max(last, first + least), limit))
        for first, (_, last), limit in zip(starts, times, limits, strict=True)
    ]
