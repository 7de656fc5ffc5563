"""Choice of window sizes: the cheapest with which a model gets hardly more words wrong than with its full window.

1. *Padding*: silence, which Whisper was trained on, unless zeros make fewer errors in the full window, which is mostly
   padding: more than `MAX_MORE_ERRORS` of the words fewer; or hardly more, and the model is surer of its words in
   `MIN_SURER_SHARE` of the passes.
2. A *floor* (the least window) with a *margin* (the least padding after the speech) will do if it is hardly worse than
   the full window: at most `MAX_MORE_ERRORS` more of the words wrong (of partials `MAX_MORE_PARTIAL_ERRORS`), at most
   `MAX_MORE_ASTRAY` more of the passes astray; and if all longer floors and margins will do, too: what is right by luck
   between two that are wrong is not taken.
   Careful passes are judged language by language: what does for one does not for another.
3. Of those that will do, with one margin for partials and careful passes, the cheapest by the time that it took; of
   margins that cost the same within `MAX_MORE_COST` the longest.

A careful pass that goes astray is decoded again in the full window, as it is live: its words are those, its cost both.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import median_low

from transcriber.core.rewording import word_costs

MARGINS_FRAMES = (30, 100, 150, 200, 250)
PADDINGS: tuple[float | None, ...] = (None, 0.0)
"""Silence, and what faster-whisper pads with."""
MAX_MORE_ERRORS = 0.005
"""Of the words, in careful passes. Of the 440 that ship Whisper base gets 10.9 % wrong with a floor of 8 s, 10.7 % with
10 s, 9.8 % with 15 s, 9.5 % with the full window."""
MAX_MORE_PARTIAL_ERRORS = 0.02
"""The same for partials, which the next pass mends."""
MAX_MORE_ASTRAY = 0.02
"""Of the passes."""
MIN_SURER_SHARE = 0.75
"""Of the passes. The demo model, trained with zeros, is surer with them in nine of ten, Whisper base in 12 of 27."""
MAX_MORE_COST = 0.02
"""Of the time: what is measured twice differs by as much."""
MAX_FULL_WINDOW_ERRORS = 0.5
"""Of the words, in the full window: a model that gets more of them wrong does not know this speech, and what it makes
of it in other windows says nothing."""


class UnknownSpeechError(Exception):
    """The model does not know what is spoken; `share` of the words it gets wrong."""

    def __init__(self, share: float) -> None:
        super().__init__(f"{share:.0%} of the words are wrong with the full window")
        self.share = share


@dataclass(frozen=True, slots=True)
class Heard:
    """What a model made of one window with one encoder input."""

    words: tuple[str, ...]
    """As they would be shown."""
    is_astray: bool
    logprob: float
    """Mean natural logarithm of the probability of a token."""
    cost: float
    """Milliseconds."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A pass that was decoded with several encoder inputs."""

    clip: int
    """Index of its transcript."""
    careful: bool
    """One of those that have all the words of its clip between them, in order; else a partial from its beginning."""
    frames: int
    """Of 10 ms, of audio."""
    heard: Mapping[tuple[int, float | None], Heard]
    """By frames of the encoder input, and padding."""


@dataclass(frozen=True, slots=True)
class Score:
    """What passes of one kind make of the clips with a floor and a margin."""

    careful: bool
    floor: int
    margin: int
    padding: float | None
    passes: int
    words: int
    """Of the transcripts."""
    errors: int
    astray: int
    cost: float
    """Milliseconds of a pass, mean."""
    language: str | None = None
    """Spoken in all of them; None: in each what was spoken there."""


_Scores = dict[tuple[str | None, int, int], Score]
"""By language of finals, or None for partials, by floor and by margin."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The sizes, in frames of 10 ms, and what was compared: partials and careful passes with all floors and margins."""

    partial: int
    careful: Mapping[str, int]
    """By language, of those that were measured."""
    margin: int
    padding: float | None
    scores: tuple[Score, ...]

    def floor(self, language: str | None) -> int:
        """The least window of finals in a language, or of partials: None."""
        return self.partial if language is None else self.careful[language]

    def is_chosen(self, score: Score) -> bool:
        """The score is that of the choice."""
        return (score.floor, score.margin) == (self.floor(score.language), self.margin)


class Comparison:
    """Trials, and what was really said in them.

    Args:
        transcripts: The words of each clip.
        languages: Of each clip; None: too little is said in it to tell, so finals keep the full window there.
        sizes: Frames of the encoder inputs that there are, the shortest first, the full window last.
    """

    def __init__(
        self, transcripts: Sequence[Sequence[str]], languages: Sequence[str | None], sizes: Sequence[int]
    ) -> None:  # fmt: skip
        self._transcripts = [tuple(words) for words in transcripts]
        self._languages = languages
        self._sizes = sizes
        self._full = sizes[-1]

    def padding(self, trials: Sequence[Trial]) -> tuple[float | None, tuple[Score, ...]]:
        """The right one, of careful trials in full windows with each. Raises UnknownSpeechError."""
        silence, zeros = scores = tuple(self.score(trials, True, self._full, 0, padding) for padding in PADDINGS)
        best = min(scores, key=lambda score: score.errors)
        if best.errors > MAX_FULL_WINDOW_ERRORS * best.words:
            raise UnknownSpeechError(best.errors / best.words)
        surer = sum(
            trial.heard[self._full, zeros.padding].logprob > trial.heard[self._full, silence.padding].logprob
            for trial in trials
        )
        fewer, chance = silence.errors - zeros.errors, MAX_MORE_ERRORS * best.words
        are_zeros = fewer > chance or (fewer >= -chance and surer >= MIN_SURER_SHARE * len(trials))
        return (zeros if are_zeros else silence).padding, scores

    def choose(self, trials: Sequence[Trial], padding: float | None) -> Choice:
        """The cheapest sizes that will do, of trials of both kinds in all windows that hold them."""
        kinds: dict[str | None, list[Trial]] = {None: [*trials]}
        for trial in trials:
            if language := self._languages[trial.clip]:
                kinds.setdefault(language, []).append(trial)
        scores: _Scores = {}
        for (language, its), floor, margin in itertools.product(kinds.items(), self._sizes, MARGINS_FRAMES):
            score = self.score(its, language is not None, floor, margin, padding)
            scores[language, floor, margin] = replace(score, language=language)

        def cheapest(language: str | None, margin: int) -> Score:
            fit = [scores[language, size, margin] for size in self._sizes if _will_do(scores, language, size, margin)]
            return min(fit, key=lambda score: score.cost)

        def cost(margin: int) -> float:
            return sum(each.cost * each.passes for each in (cheapest(language, margin) for language in kinds))

        enough = (1 + MAX_MORE_COST) * min(map(cost, MARGINS_FRAMES))
        margin = max(margin for margin in MARGINS_FRAMES if cost(margin) <= enough)
        careful = {language: cheapest(language, margin).floor for language in kinds if language}
        return Choice(cheapest(None, margin).floor, careful, margin, padding, tuple(scores.values()))

    def score(
        self, trials: Sequence[Trial], careful: bool, floor: int, margin: int, padding: float | None
    ) -> Score:  # fmt: skip
        """What the trials of one kind give with these sizes."""
        tried = [trial for trial in trials if trial.careful is careful]
        heard = [trial.heard[self._size(trial.frames, floor, margin), padding] for trial in tried]
        cost, astray = sum(each.cost for each in heard), sum(each.is_astray for each in heard)
        if careful:
            again = [trial.heard[self._full, padding] for trial in tried]
            cost += sum(full.cost for full, each in zip(again, heard, strict=True) if each.is_astray)
            heard = [full if each.is_astray else each for full, each in zip(again, heard, strict=True)]
            words, errors = self._whole(tried, heard)
        else:
            words, errors = self._beginnings(tried, heard, padding)
        return Score(careful, floor, margin, padding, len(tried), words, errors, astray, cost / max(1, len(tried)))

    def _size(self, frames: int, floor: int, margin: int) -> int:
        """As the live transcriber takes it."""
        return next((size for size in self._sizes if size >= max(floor, frames + margin)), self._full)

    def _whole(self, trials: Sequence[Trial], heard: Sequence[Heard]) -> tuple[int, int]:
        """Words of the transcripts, and errors: the passes of a clip together have all of its words."""
        texts: dict[int, tuple[str, ...]] = {}
        for trial, each in zip(trials, heard, strict=True):
            texts[trial.clip] = texts.get(trial.clip, ()) + each.words
        said = [(self._transcripts[clip], text) for clip, text in texts.items()]
        return sum(len(words) for words, _ in said), sum(edits(words, text)[-1] for words, text in said)

    def _beginnings(
        self, trials: Sequence[Trial], heard: Sequence[Heard], padding: float | None
    ) -> tuple[int, int]:  # fmt: skip
        """The same for partials. How far into its transcript one is, is what half of all windows say; a word more or
        less is no error."""
        total = errors = 0
        for trial, each in zip(trials, heard, strict=True):
            said = self._transcripts[trial.clip]
            reached = median_low(
                _nearest(edits(other.words, said)) for (_, value), other in trial.heard.items() if value == padding
            )
            total += reached
            errors += min(edits(each.words, said)[max(0, reached - 1) : reached + 2])
        return total, errors


def _nearest(distances: Sequence[int]) -> int:
    return distances.index(min(distances))


def _will_do(scores: _Scores, language: str | None, floor: int, margin: int) -> bool:
    """This floor and margin and all longer ones are hardly worse than the full window; and there is proof of it."""
    its = [score for score in scores.values() if score.language == language]
    full = max(its, key=lambda score: score.floor)
    longer = [score for score in its if score.floor >= floor and score.margin >= margin]
    errors = full.errors + full.words * (MAX_MORE_ERRORS if full.careful else MAX_MORE_PARTIAL_ERRORS)
    astray = full.astray + full.passes * MAX_MORE_ASTRAY
    is_proven = full.passes > 0 or floor == full.floor
    return is_proven and all(score.errors <= errors and score.astray <= astray for score in longer)


@lru_cache(maxsize=4096)
def edits(heard: tuple[str, ...], said: tuple[str, ...]) -> tuple[int, ...]:
    """The least substitutions, deletions and insertions from the words that were heard to the first n that were said,
    for each n from 0."""
    return tuple(word_costs(heard, said)[-1])
