"""What a stream's messages are worth, the same for every server. Pure: messages with arrival times in, numbers out.

Times are seconds of the stream: 0 is when its first sample was spoken, so a sample of time t can be known at t at the
earliest.

* Committed words are those of segments with `completed`, in the order of their start times; each was committed when it
  was first seen so. A committed segment that is later seen with another text, or is missing from a list of committed
  ones that reaches further back, is a change.
* Committed words are aligned with what was said at the least edit distance; a word may only stand for a word of an
  utterance that its segment overlaps (within `SLACK`). That is how segments that merge or split utterances, as
  whisper-live makes them, are told apart. The distance is the word error rate.
* An utterance is final once the committed word that stands for its last word is there; if none stands for it, once a
  committed segment covers its end. Otherwise it never is. Final latency counts from the true end of the utterance.
* The first text of an utterance is the first message with a segment, committed or not, that reaches into it.
* Where somebody goes on without a pause (`Spoken.goes_on`), no server can know an end: the time from there to the final
  of that clip is its wait, and counts apart from the final latency.
* Updates of an utterance are messages that change the text of the segments which overlap it, until it is final.
* Normalized erasure (Arivazhagan et al. 2020): words deleted from the end of what is shown to make what is shown next,
  over all messages, per committed word. Unstable partial word ratio (after Shangguan et al. 2020): shown words that the
  next message does not keep, by edit distance, per committed word.
"""

from __future__ import annotations

import bisect
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

SLACK = 0.4
"""Seconds by which a segment's times may be wrong: less than half of the shortest pause."""
REACH = 0.1
"""Seconds that a segment must share with an utterance to show something of it."""
SPELLINGS = {"6": "six", "6th": "sixth", "mister": "mr"}
"""Words that are written in two ways, and the one that counts."""
COVERS = 0.35
"""Seconds that may be missing at the end of a segment that covers an utterance."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """One utterance; when its first word begins and its last word ends."""

    start: float
    end: float
    text: str
    goes_on: bool = False
    """No pause follows."""


@dataclass(frozen=True, slots=True)
class Seg:
    """One segment of a message."""

    start: float
    end: float
    text: str
    completed: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """One message with segments."""

    at: float
    segments: tuple[Seg, ...]


@dataclass(slots=True)
class Committed:
    """A completed segment and when it was first seen."""

    at: float
    segment: Seg


@dataclass(slots=True)
class Heard:
    """How one utterance fared. Seconds; None: never."""

    spoken: Spoken
    first: float | None = None
    """From its onset to its first text."""
    final: float | None = None
    """From its end to its final."""
    gaps: list[float] = field(default_factory=list)
    """Between updates."""


@dataclass(slots=True)
class Score:
    """One stream, or the sum of several."""

    utterances: list[Heard] = field(default_factory=list)
    words: int = 0
    """Said; without the tail."""
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    committed_words: int = 0
    changes: int = 0
    """Committed segments that changed later."""
    erased: int = 0
    """Shown words deleted from the end."""
    unstable: int = 0
    """Shown words not kept."""
    tail_words: int = 0
    """Said right before END_OF_AUDIO."""
    tail_heard: int = 0
    """Committed words that stand for them."""

    def add(self, other: Score) -> None:
        """Sums up."""
        self.utterances += other.utterances
        for name in (
            "words", "substitutions", "deletions", "insertions", "committed_words", "changes", "erased", "unstable",
            "tail_words", "tail_heard",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))


def words(text: str) -> list[str]:
    """Words as they are compared: lower case, no punctuation, hyphens as spaces, one spelling."""
    found = re.findall(r"[\w']+", text.lower().replace("’", "'"))
    return [SPELLINGS.get(word, word) for word in found]


def parse(at: float, message: str | bytes) -> Shown | None:
    """The segments of a message, None without any."""
    data = json.loads(message)
    rows = data.get("segments") if isinstance(data, dict) else None
    if not rows:
        return None
    return Shown(at, tuple(Seg(float(r["start"]), float(r["end"]), r["text"], bool(r.get("completed"))) for r in rows))


def score(spoken: Sequence[Spoken], shown: Sequence[Shown], tail: Spoken | None = None) -> Score:
    """One stream.

    Args:
        spoken: In their order.
        shown: In the order of their arrival.
        tail: What was said last, right before END_OF_AUDIO: counted apart.
    """
    committed, changes = commits(shown)
    result = Score([Heard(utterance) for utterance in spoken], changes=changes)
    everything = [*spoken, *([tail] if tail else [])]
    said = [(word, index) for index, utterance in enumerate(everything) for word in words(utterance.text)]
    found = [(word, commit) for commit in committed for word in words(commit.segment.text)]
    pairs = align(said, found, everything)
    _count(result, said, found, pairs, everything, len(spoken))
    last_word = {utterance: index for index, (_, utterance) in enumerate(said)}
    for index, heard in enumerate(result.utterances):
        pair = pairs[last_word[index]]
        final = found[pair][1].at if pair is not None else _covered(heard, committed)
        heard.final = None if final is None else final - heard.spoken.end
        _watch(heard, shown, final)
    result.erased, result.unstable = revisions(shown)
    return result


def commits(shown: Iterable[Shown]) -> tuple[list[Committed], int]:
    """All completed segments by their start, and how many changed after they were first seen."""
    known: dict[float, Committed] = {}
    changes = 0
    for message in shown:
        completed = [segment for segment in message.segments if segment.completed]
        if not completed:
            continue
        here = {segment.start for segment in completed}
        retracted = [start for start in known if start >= min(here) and start not in here]
        changes += len(retracted)
        for start in retracted:
            del known[start]
        for segment in completed:
            before = known.get(segment.start)
            if before is None or before.segment.text != segment.text:
                changes += before is not None
                known[segment.start] = Committed(message.at, segment)
    return sorted(known.values(), key=lambda commit: commit.segment.start), changes


def align(
    said: Sequence[tuple[str, int]], found: Sequence[tuple[str, Committed]], spoken: Sequence[Spoken]
) -> list[int | None]:
    """For each word said the index of the found word that stands for it, at the least edit distance."""
    rows, columns = len(said) + 1, len(found) + 1
    near = [[_is_near(utterance, commit.segment) for _, commit in found] for utterance in spoken]
    cost = [[0] * columns for _ in range(rows)]
    for column in range(columns):
        cost[0][column] = column
    for row in range(1, rows):
        word, utterance = said[row - 1]
        above, here, close = cost[row - 1], cost[row], near[utterance]
        here[0] = row
        for column in range(1, columns):
            best = min(above[column], here[column - 1]) + 1
            if close[column - 1]:
                best = min(best, above[column - 1] + (word != found[column - 1][0]))
            here[column] = best
    pairs: list[int | None] = [None] * len(said)
    row, column = rows - 1, columns - 1
    while row and column:
        word, utterance = said[row - 1]
        step = cost[row - 1][column - 1] + (word != found[column - 1][0])
        if near[utterance][column - 1] and cost[row][column] == step:
            pairs[row - 1] = column - 1
            row, column = row - 1, column - 1
        elif cost[row][column] == cost[row - 1][column] + 1:
            row -= 1
        else:
            column -= 1
    return pairs


def revisions(shown: Iterable[Shown]) -> tuple[int, int]:
    """Words erased from the end of what was shown, and words shown that were not kept, over all messages."""
    settled: dict[float, list[str]] = {}
    before: list[str] = []
    erased = unstable = 0
    for message in shown:
        for segment in message.segments:
            if segment.completed:
                settled[segment.start] = words(segment.text)
        now = [word for start in sorted(settled) for word in settled[start]]
        now += [word for segment in message.segments if not segment.completed for word in words(segment.text)]
        common = _common_prefix(before, now)
        erased += len(before) - common
        unstable += _not_kept(before[common:], now[common:])
        before = now
    return erased, unstable


def percentile(values: Iterable[float], percent: float) -> float | None:
    """Linear between the nearest ranks; None of nothing. Values may be infinite."""
    ordered = sorted(values)
    if not ordered:
        return None
    place = (len(ordered) - 1) * percent / 100
    low, high = math.floor(place), math.ceil(place)
    if ordered[low] == ordered[high]:
        return ordered[low]
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def summary(total: Score) -> dict[str, Any]:
    """The metrics of a cell: numbers, None where there is none; `errors` are substitutions, deletions, insertions."""
    final = [heard for heard in total.utterances if heard.final is not None]
    finals = [heard.final for heard in final if heard.final is not None and not heard.spoken.goes_on]
    waits = [heard.final for heard in final if heard.final is not None and heard.spoken.goes_on]
    firsts = [heard.first for heard in total.utterances if heard.first is not None]
    gaps = [gap for heard in total.utterances for gap in heard.gaps]
    errors = [total.substitutions, total.deletions, total.insertions]
    return {
        "utterances": len(total.utterances),
        "never_final": len(total.utterances) - len(final),
        "first_p50": percentile(firsts, 50),
        "first_p95": percentile(firsts, 95),
        "final_p50": percentile(finals, 50),
        "final_p95": percentile(finals, 95),
        "final_p99": percentile(finals, 99),
        "wait_p50": percentile(waits, 50),
        "wait_p95": percentile(waits, 95),
        "update_p95": percentile(gaps, 95),
        "ne": total.erased / total.committed_words if total.committed_words else None,
        "upwr": total.unstable / total.committed_words if total.committed_words else None,
        "changes": total.changes,
        "wer": sum(errors) / total.words if total.words else None,
        "errors": errors,
        "deletions": total.deletions / total.words if total.words else None,
        "insertions": total.insertions,
        "committed_words": total.committed_words,
        "tail": total.tail_heard / total.tail_words if total.tail_words else None,
    }


def _count(
    result: Score, said: Sequence[tuple[str, int]], found: Sequence[tuple[str, Committed]],
    pairs: Sequence[int | None], spoken: Sequence[Spoken], tail: int,
) -> None:  # fmt: skip
    """Errors; words that stand for nothing are insertions, unless their segment has only to do with the tail."""
    result.committed_words = len(found)
    used = {pair for pair in pairs if pair is not None}
    result.insertions = sum(
        index not in used and not _is_alone(commit.segment, spoken, tail) for index, (_, commit) in enumerate(found)
    )
    for (word, utterance), pair in zip(said, pairs, strict=True):
        if utterance == tail:
            result.tail_words += 1
            result.tail_heard += pair is not None and found[pair][0] == word
            continue
        result.words += 1
        result.deletions += pair is None
        result.substitutions += pair is not None and found[pair][0] != word


def _is_near(utterance: Spoken, segment: Seg) -> bool:
    return segment.start - SLACK <= utterance.end and segment.end + SLACK >= utterance.start


def _is_alone(segment: Seg, spoken: Sequence[Spoken], tail: int) -> bool:
    """It overlaps with the tail, and with nothing before it."""
    return tail < len(spoken) and [_is_near(utterance, segment) for utterance in spoken] == [False] * tail + [True]


def _reaches(segment: Seg, utterance: Spoken) -> bool:
    return min(segment.end, utterance.end) - max(segment.start, utterance.start) >= REACH and bool(segment.text.strip())


def _covered(heard: Heard, committed: Sequence[Committed]) -> float | None:
    spoken = heard.spoken
    covering = [c.at for c in committed if _reaches(c.segment, spoken) and c.segment.end >= spoken.end - COVERS]
    return min(covering, default=None)


def _watch(heard: Heard, shown: Sequence[Shown], final: float | None) -> None:
    """First text, and the gaps between updates."""
    text, changed_at = "", 0.0
    begin = bisect.bisect_left(shown, heard.spoken.start, key=lambda message: message.at)
    for message in shown[begin:]:
        if final is not None and message.at > final:
            return
        now = " ".join(s.text.strip() for s in message.segments if _reaches(s, heard.spoken))
        if not now or now == text:
            continue
        if heard.first is None:
            heard.first = message.at - heard.spoken.start
        else:
            heard.gaps.append(message.at - changed_at)
        text, changed_at = now, message.at


def _common_prefix(one: Sequence[str], other: Sequence[str]) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _not_kept(before: Sequence[str], now: Sequence[str]) -> int:
    """Words of `before` that are not in the longest common subsequence with `now`."""
    if not before:
        return 0
    row = [0] * (len(now) + 1)
    for word in before:
        previous = row[:]
        for column, other in enumerate(now, 1):
            row[column] = previous[column - 1] + 1 if word == other else max(previous[column], row[column - 1])
    return len(before) - row[-1]
