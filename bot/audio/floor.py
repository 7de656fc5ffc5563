"""The floor of a mix: who spoke when, as far as the platform's reports tell; where several may have, nobody knows.

Reports come late and never early: whoever speaks is reported while they do, or within a margin after. So a name is
given only where one person alone was reported speaking in the time asked about and the margin after it, and some of it
in the time itself. Everything else is unknown: several at once, or so close together that a report may be either's,
nobody, a time without reports.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from common.audio.pcm import SAMPLE_RATE

MARGIN_S = 1.0
"""Seconds by which a report may lag behind the sound: so long afterwards nobody else must be reported.
A common SFU measures over 400 ms and smooths over two such intervals (0.8 s); the rest is for its delivery."""
REPORT_LIFETIME_S = 1.0
"""Seconds that a report holds; no more than the margin. A platform says twice a second what goes on: one that is blind
for a moment must not leave the floor with whoever had it last, when somebody else may have begun."""
MAX_SPANS = 1000
"""Changes kept, about 200 bytes each; the oldest goes. Far more than the minute or two in which text comes back."""


@dataclass(slots=True)
class _Span:
    """What one or several equal reports said. Bounds are meeting samples."""

    start: int
    until: int
    ids: frozenset[str]
    """Who speaks."""


class Floor:
    """The floor of one mix.

    Args:
        zero: Monotonic seconds of meeting time zero.
        margin: Seconds by which its reports may lag; more for platforms that report late.
        lifetime: Seconds that a report holds; more for platforms that say everything once, and reliably.
    """

    def __init__(self, zero: float, margin: float = MARGIN_S, lifetime: float = REPORT_LIFETIME_S) -> None:
        self._zero = zero
        self._lifetime = round(lifetime * SAMPLE_RATE)
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
        until = sample + self._lifetime
        last = self._spans[-1] if self._spans else None
        if last is not None and last.until >= sample:
            if last.ids == ids:
                last.until = until
                return
            last.until = sample
        self._spans.append(_Span(sample, until, ids))
        del self._spans[:-MAX_SPANS]

    def speaker(self, start: int, end: int) -> str | None:
        """Who said what lies in meeting samples [start, end), as participant id; None: unknown.

        What is said about times whose margin has not passed yet (see `certain_at`) may turn into unknown later.
        """
        last = end + self._margin
        spans = self._between(start, last)
        if not spans or spans[0].start > start or spans[-1].until < last:
            return None
        if any(before.until < after.start for before, after in pairwise(spans)):
            return None
        reported = frozenset[str]().union(*(span.ids for span in spans if span.until > start))
        spoke = any(span.ids and span.start < end and span.until > start for span in spans)
        return next(iter(reported)) if spoke and len(reported) == 1 else None

    def certain_at(self, end: int) -> float:
        """Monotonic seconds from which on `speaker(…, end)` does not change any more, if reports come in time.

        Where nobody has ever reported, nobody is waited for: not every mix comes with who speaks.
        """
        margin = self._margin if self._latest is not None else 0
        return self._zero + (end + margin) / SAMPLE_RATE

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
