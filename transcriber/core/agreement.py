"""Local agreement: an utterance's certain words are those that three passes in a row share (Macháček et al. 2023, arXiv
2307.14743, with two).

Partials err together, and what is committed never changes, whatever the final would say: of 788 English words (Whisper
base, the tracks of bench/words) 6.1 % were wrong with two passes, 5.2 % with three, 4.9 % with nothing committed. One
pass is no proof at all, however sure it is of a word and however long ago that ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from common.whisperlive.protocol import SAMPLE_RATE
from transcriber.core.policy import MAX_UTTERANCE_SAMPLES
from transcriber.core.windows import Word
from transcriber.core.words import letters, pieces

PASSES_TO_COMMIT = 3
"""In a row, that must say the same."""
MAX_COMMIT_END_S = MAX_UTTERANCE_SAMPLES / SAMPLE_RATE - 2
"""From the start of an utterance; beyond it nothing is committed, so that it can be cut between two words."""
TRIM_OVERLAP_S = 0.1
"""Audio before the last committed word that a trimmed window keeps."""


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
        first, last = last, last + len(unit.strip())
        shown = unit if n else " " + unit.strip()
        if last > len(times):  # no alignment, or one of another text
            result.append(Unit(shown))
        else:
            begin, end = times[first], times[last - 1]
            result.append(Unit(shown, offset + begin.start, offset + end.end, min(begin.probability, end.probability)))
    return result


class LocalAgreement:
    """The committed words of one utterance, and the last passes."""

    def __init__(self) -> None:
        self.committed: list[Unit] = []
        self.until = 0.0
        """Seconds from the start of the utterance that the committed words reach at most."""
        self._language = ""  # of the last pass
        self._earlier: deque[tuple[list[str], float]] = deque(maxlen=PASSES_TO_COMMIT - 1)
        # what the last passes said after the committed words, as keys, and how many seconds they heard

    def hear(
        self, said: Sequence[Unit], heard: float, base: int = 0, *, language: str = "", sure: bool = True
    ) -> list[Unit]:
        """Takes a pass over the first `heard` seconds, whose window began with committed word `base`; commits.

        Words of two languages have nothing in common, and of one that is not `sure` none is certain.

        Returns the whole text: the committed words, then what is not certain yet.
        """
        if language != self._language:
            self._language = language
            self._earlier.clear()
        self._retime(said, base)
        rest = self._after_committed(said, base)
        keys = [unit.key for unit in rest]
        agreed = count = 0
        if sure and len(self._earlier) == PASSES_TO_COMMIT - 1:
            agreed = min(_common(keys, before) for before, _ in self._earlier)
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

    def conclude(self, said: Sequence[Unit]) -> list[Unit]:
        """The final text: the committed words, then what this pass over the whole utterance adds."""
        self._retime(said, 0)
        return [*self.committed, *self._after_committed(said, 0)]

    @property
    def trim(self) -> tuple[int, float]:
        """The last committed word whose time is known, as index, and where a window with it begins, in seconds."""
        for index in range(len(self.committed) - 1, -1, -1):
            start = self.committed[index].start
            if start is not None:
                return index, max(0.0, start - TRIM_OVERLAP_S)
        return 0, 0.0

    def _retime(self, said: Sequence[Unit], base: int) -> None:
        """Committed words that a later pass hears again get its times: it has heard what comes after them."""
        committed = self.committed[base:]
        for n in range(_common([unit.key for unit in said], [unit.key for unit in committed])):
            if said[n].end is not None:
                self.committed[base + n] = replace(said[n], text=committed[n].text)

    def _after_committed(self, said: Sequence[Unit], base: int) -> list[Unit]:
        """What a pass says after the committed words: it may spell some of them differently, or skip one.

        The cut is where the part before it is closest to the committed words (edit distance over words).
        """
        wanted = [unit.key for unit in self.committed[base:]]
        heard = [unit.key for unit in said]
        row = list(range(len(said) + 1))
        for n, key in enumerate(wanted, 1):
            diagonal, row[0] = row[0], n
            for k, other in enumerate(heard, 1):
                diagonal, row[k] = row[k], min(row[k] + 1, row[k - 1] + 1, diagonal + (other != key))
        cut = min(range(len(row)), key=lambda k: (row[k], abs(k - len(wanted))))
        return list(said[cut:])


def _common(left: Sequence[str], right: Sequence[str]) -> int:
    """How many leading keys are the same."""
    count = 0
    while count < min(len(left), len(right)) and left[count] == right[count]:
        count += 1
    return count


def _times(words: Sequence[Word]) -> list[Word]:
    """For each letter of the words, spaces left out, the word it is in."""
    return [word for word in words for _ in "".join(word.text.split())]
