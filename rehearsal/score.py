"""The score of a rehearsal's transcript: words, names and times against what was really said."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rehearsal.microphone import Truth


@dataclass(frozen=True, slots=True)
class Final:
    """One final as a consumer found it; times in meeting seconds."""

    speaker_id: str
    """Empty: nobody is named."""
    text: str
    start: float
    end: float
    stored_utc: float
    """When Redis had it, seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Score:
    """The verdict."""

    utterances: int
    finals: int
    wer: float
    """Word error rate over all utterances, 0 to 1 and beyond."""
    missing: int
    """Utterances without any final."""
    wrong_names: int
    """Finals under the name of somebody who said something else at that time."""
    unnamed: int
    """Finals under no name."""
    latencies: tuple[float, ...]
    """Seconds from the end of speech to the final in Redis, ascending, one per utterance heard."""

    def latency(self, percent: int) -> float:
        """A percentile of the latencies, seconds."""
        if len(self.latencies) < 2:
            return self.latencies[0] if self.latencies else float("nan")
        return statistics.quantiles(self.latencies, n=100, method="inclusive")[percent - 1]


def words(text: str) -> str:
    """Text as it is compared: lower case, no punctuation."""
    return " ".join(re.findall(r"[\w']+", text.lower()))


def score(truth: Sequence[Truth], finals: Iterable[Final]) -> Score:
    """Scores finals against the rows of truth that were sent whole and have a text.

    A final belongs to the utterance of its speaker that it overlaps most (or is nearest to), without a name to that of
    anybody; finals of somebody who said nothing count as insertions.
    """
    from jiwer import process_words

    rows = [row for row in truth if row.complete and row.text]
    heard: dict[int, list[Final]] = {}
    wrong = strays = 0
    finals = sorted(finals, key=lambda final: final.start)
    for final in finals:
        own = [index for index, row in enumerate(rows) if final.speaker_id in ("", row.participant)]
        if own:
            heard.setdefault(max(own, key=lambda index: _overlap(rows[index], final)), []).append(final)
        else:
            strays += len(words(final.text).split())
        wrong += _is_misattributed(final, rows)
    references = [words(row.text or "") for row in rows]
    hypotheses = [words(" ".join(final.text for final in heard.get(index, ()))) for index in range(len(rows))]
    counts = process_words(references, hypotheses)
    errors = counts.substitutions + counts.deletions + counts.insertions + strays
    total = sum(len(reference.split()) for reference in references)
    latencies = sorted(max(f.stored_utc for f in found) - rows[index].end_utc for index, found in heard.items())
    unnamed = sum(not final.speaker_id for final in finals)
    return Score(len(rows), len(finals), errors / total, len(rows) - len(heard), wrong, unnamed, tuple(latencies))


def _overlap(row: Truth, final: Final) -> float:
    """Seconds that both share; negative: the distance between them."""
    return min(row.end, final.end) - max(row.start, final.start)


def _is_misattributed(final: Final, rows: Sequence[Truth]) -> bool:
    """Somebody else said these words at that time, and the named speaker did not."""
    from jiwer import wer

    spoken = words(final.text)
    if not spoken or not final.speaker_id:
        return False
    here = [row for row in rows if _overlap(row, final) > -0.5]
    distance = {True: 1.0, False: 1.0}  # own, others'
    for row in here:
        own = row.participant == final.speaker_id
        distance[own] = min(distance[own], wer(words(row.text or ""), spoken))
    return distance[False] < distance[True]
