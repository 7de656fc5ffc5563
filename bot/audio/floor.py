"""The floor of a mix: who held it when, as far as the platform's reports tell; near a change of hands, nobody knows.

Whoever was reported speaking holds the floor until somebody else is: a pause gives it to nobody. A name is given only
where one person held it for the whole time asked about and a margin on both sides, and was reported speaking in that
time. Everything else is unknown: several at once, nobody, a time without reports.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from common.audio.pcm import SAMPLE_RATE

MARGIN_S = 1.0
"""Seconds on both sides in which the floor must not change hands: by so much a report may lag behind the sound.
A common SFU measures over 400 ms and smooths over two such intervals (0.8 s); the rest is for its delivery."""
REPORT_LIFETIME_S = 10.0
"""Seconds that a report holds. A platform says again every few seconds what goes on: one that has gone blind must not
leave the floor with whoever had it last."""
MAX_SPANS = 1000
"""Changes kept, about 200 bytes each; the oldest goes. Far more than the minute or two in which text comes back."""


@dataclass(slots=True)
class _Span:
    """What one or several equal reports said. Bounds are meeting samples."""

    start: int
    until: int
    ids: frozenset[str]
    """Who speaks."""
    holders: frozenset[str]
    """Who holds the floor: those of the span before while nobody speaks. Empty: unknown."""


class Floor:
    """The floor of one mix.

    Args:
        zero: Monotonic seconds of meeting time zero.
        margin: Seconds on both sides in which the floor must not change hands; more for platforms that report late.
    """

    def __init__(self, zero: float, margin: float = MARGIN_S) -> None:
        self._zero = zero
        self._margin = round(margin * SAMPLE_RATE)
        self._spans: list[_Span] = []  # in order, without overlap; at most MAX_SPANS
        self._latest: int | None = None  # meeting sample of the last report

    def report(self, ids: frozenset[str], at: float) -> None:
        """Takes an `ActiveSpeakers` event: these participants speak, from monotonic second `at` until the next report.

        A report from before the last one tells that their order cannot be trusted: nothing since is known, until the
        next one.
        """
        sample = round((at - self._zero) * SAMPLE_RATE)
        if self._latest is not None and sample < self._latest:
            self._forget_since(sample)
            return
        self._latest = sample
        until = sample + round(REPORT_LIFETIME_S * SAMPLE_RATE)
        last = self._spans[-1] if self._spans else None
        is_gapless = last is not None and last.until >= sample
        if last is not None and is_gapless:
            if last.ids == ids:
                last.until = until
                return
            last.until = sample
        holders = ids or (last.holders if last is not None and is_gapless else ids)
        self._spans.append(_Span(sample, until, ids, holders))
        del self._spans[:-MAX_SPANS]

    def speaker(self, start: int, end: int) -> str | None:
        """Who said what lies in meeting samples [start, end), as participant id; None: unknown.

        What is said about times whose margin has not passed yet (see `certain_at`) may turn into unknown later.
        """
        first, last = start - self._margin, end + self._margin
        spans = self._between(first, last)
        if not spans or spans[0].start > first or spans[-1].until < last:
            return None
        if any(before.until < after.start for before, after in pairwise(spans)):
            return None
        holders = spans[0].holders
        if len(holders) != 1 or any(span.holders != holders for span in spans):
            return None
        spoke = any(span.ids and span.start < end and span.until > start for span in spans)
        return next(iter(holders)) if spoke else None

    def certain_at(self, end: int) -> float:
        """Monotonic seconds from which on `speaker(…, end)` does not change any more, if reports come in time."""
        return self._zero + (end + self._margin) / SAMPLE_RATE

    def parts(self, words: Sequence[tuple[int, int]]) -> list[tuple[int, str | None]]:
        """Who said which words of one text, whose times are meeting samples [start, end), ascending.

        Returns:
            For each run of words that one person said, or of which that is unknown: how many they are, and who.
        """
        found: list[tuple[int, str | None]] = []
        first = 0
        while first < len(words):
            # The longest run: a word in a pause between two of the same person is theirs, and alone would be nobody's.
            spans = (
                (last, self.speaker(words[first][0], words[last][1])) for last in range(len(words) - 1, first - 1, -1)
            )
            last, who = next((span for span in spans if span[1] is not None), (first, None))
            count = last + 1 - first
            if found and found[-1][1] == who:
                count += found.pop()[0]
            found.append((count, who))
            first = last + 1
        return found

    def _between(self, first: int, last: int) -> list[_Span]:
        """Spans that overlap [first, last), and the one in which `first` lies."""
        begin = bisect_right(self._spans, first, key=lambda span: span.until)
        stop = bisect_right(self._spans, last - 1, key=lambda span: span.start)
        return self._spans[begin:stop]

    def _forget_since(self, sample: int) -> None:
        self._spans = [span for span in self._spans if span.start < sample]
        if self._spans:
            self._spans[-1].until = min(self._spans[-1].until, sample)
