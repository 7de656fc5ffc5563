"""Local agreement: an utterance's certain words are those that three passes in a row share (Macháček et al. 2023, arXiv
2307.14743, with two).

Partials err together, and what is committed never changes, whatever the final would say: of 788 English words (Whisper
base, the tracks of bench/words) 6.1 % were wrong with two passes, 5.2 % with three, 4.9 % with nothing committed. One
pass is no proof at all, however sure it is of a word and however long ago that ended.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from common.whisperlive.protocol import SAMPLE_RATE
from transcriber.core.policy import MAX_UTTERANCE_SAMPLES
from transcriber.core.rewording import end_of, in_common, is_negated, pairs
from transcriber.core.windows import Word
from transcriber.core.words import is_sign, letters, pieces

PASSES_TO_COMMIT = 3
"""In a row, that must say the same."""
MIN_NEW_AUDIO_S = 0.4
"""That a pass must have heard beyond the one before: two over the same sound err together."""
MAX_COMMIT_END_S = MAX_UTTERANCE_SAMPLES / SAMPLE_RATE - 2
"""From the start of an utterance; beyond it nothing is committed, so that it can be cut between two words."""
TRIM_WORDS, MIN_TRIM_OVERLAP_S = 2, 0.5
"""Committed words that a trimmed window keeps, and how long they last at least: the first one may be clipped."""
TRIM_MARGIN_S = 0.1
"""Audio before them."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A word with the space before it, or a sign of a script without spaces."""

    text: str
    start: float | None = None
    """Seconds from the start of the utterance, None without alignment."""
    end: float | None = None
    probability: float = 0.0

    @property
    def key(self) -> str:
        """What passes must have in common."""
        return letters(self.text)


def units(text: str, words: Sequence[Word] = (), offset: float = 0.0) -> list[Unit]:
    """Cuts a hypothesis into units; `words`, if any, give the times, `offset` is where its window starts, in seconds
    from the start of the utterance."""
    found = pieces(text)
    times = _times(words)
    result, last = [], 0
    for n, unit in enumerate(found):
        first, last = last, last + len("".join(unit.split()))
        shown = unit if n else " " + unit.strip()
        if last > len(times):  # no alignment, or one of another text
            result.append(Unit(shown))
        else:
            (begin, _, one), (_, end, other) = times[first], times[last - 1]
            result.append(Unit(shown, offset + begin, offset + end, min(one, other)))
    return result


class LocalAgreement:
    """The committed words of one utterance, and the last passes."""

    def __init__(self) -> None:
        self.committed: list[Unit] = []
        self.until = 0.0
        """Seconds from the start of the utterance that the committed words reach at most."""
        self._language = ""  # of the last pass
        self._counted_s = 0.0  # what the last pass had heard that was not about the same sound as the one before
        self._earlier: deque[tuple[list[str], float]] = deque(maxlen=PASSES_TO_COMMIT - 1)
        # what the last passes said after the committed words, as keys, and how many seconds they heard

    def hear(
        self, said: Sequence[Unit], heard: float, base: int = 0, *, language: str = "", sure: bool = True
    ) -> list[Unit]:
        """Takes a pass over the first `heard` seconds, whose window began with committed word `base`; commits.

        Words of two languages have nothing in common, and a pass in one that is not `sure` does not count. Nor does one
        of a trimmed window that does not begin with its first committed word: nobody knows where it is then.

        Returns the whole text: the committed words, then what is not certain yet.
        """
        if language != self._language or not sure:
            self._language = language
            self._earlier.clear()
        rest = self._after_committed(said, base)
        if not sure:
            return [*self.committed, *rest]
        keys = [unit.key for unit in rest]
        if base and [unit.key for unit in said[:1]] != [unit.key for unit in self.committed[base : base + 1]]:
            return [*self.committed, *rest]
        if self._earlier and round(heard - self._counted_s, 3) < MIN_NEW_AUDIO_S:
            self._earlier[-1] = keys, heard  # it takes the place of the one before
            return [*self.committed, *rest]
        self._counted_s = heard
        agreed = count = 0
        if len(self._earlier) == PASSES_TO_COMMIT - 1:
            agreed = min(in_common(keys, before) for before, _ in self._earlier)
        for unit in rest[:agreed]:
            end = self._earlier[0][1] if unit.end is None else unit.end
            if end > MAX_COMMIT_END_S:
                break
            count, self.until = count + 1, max(self.until, end)
        self.committed += rest[:count]
        for before, _ in self._earlier:
            del before[:count]
        self._earlier.append((keys[count:], heard))
        return [*self.committed, *rest[count:]]

    def miss(self) -> None:
        """A pass came to nothing: those before it are not in a row with those after it."""
        self._earlier.clear()

    def conclude(self, said: Sequence[Unit]) -> list[Unit]:
        """The final text: the committed words, then what this pass over the whole utterance adds."""
        rest = self._after_committed(said, 0)
        return [*self.committed, *rest]

    @property
    def trim(self) -> tuple[int, float]:
        """The committed word that a trimmed window begins with, as index, and where that is, in seconds."""
        for index in range(len(self.committed) - TRIM_WORDS, 0, -1):
            start = self.committed[index].start
            if start is not None and self.until - start >= MIN_TRIM_OVERLAP_S:
                return index, max(0.0, start - TRIM_MARGIN_S)
        return 0, 0.0

    def _after_committed(self, said: Sequence[Unit], base: int) -> list[Unit]:
        """What a pass says after the committed words: it may spell some of them differently, or skip one.

        Those that it hears get its times: it has heard what comes after them. How sure it is of a word that it hears as
        another one says nothing about ours.
        """
        wanted, heard = [unit.text for unit in self.committed[base:]], [unit.text for unit in said]
        cut, is_certain = end_of(wanted, heard)
        timed = None if is_certain else self._end_by_times(said)
        if timed is not None and is_negated(heard[:timed]) == is_negated(wanted):
            cut = timed
        for n, k in pairs(wanted, heard[:cut]):
            ours, again = self.committed[base + n], said[k]
            if again.end is not None:
                probability = again.probability if again.key == ours.key else ours.probability
                self.committed[base + n] = replace(again, text=ours.text, probability=probability)
        rest = list(said[cut:])
        if not cut and rest and self.committed and is_sign(sign := rest[0].text.strip()):
            rest[0] = replace(rest[0], text=sign)  # a window begins with it, no sentence
        return rest

    def _end_by_times(self, said: Sequence[Unit]) -> int | None:
        """How many of these words are spoken before the committed ones end; None: not all times are known."""
        end = self.committed[-1].end
        middles = [(unit.start + unit.end) / 2 for unit in said if unit.start is not None and unit.end is not None]
        if end is None or len(middles) < len(said):
            return None
        return sum(middle < end for middle in middles)


def _times(words: Sequence[Word]) -> list[tuple[float, float, float]]:
    """Of each letter of the words, spaces left out: start, end, and the probability of its word.

    The letters of a word share its time: what a model takes for one may be several signs.
    """
    times = []
    for word in words:
        count = len("".join(word.text.split()))
        edges = [word.start + (word.end - word.start) * n / count for n in range(count)] + [word.end]
        times += [(*edge, word.probability) for edge in itertools.pairwise(edges)]
    return times
