"""Batches: windows on their way through a Whisper model, and which of them it takes together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from common.audio.pcm import SAMPLE_RATE
from transcriber.core.windows import Hypothesis, Phrase, Reading, Window, Word
from transcriber.engine.features import Features
from transcriber.engine.phrases import SECONDS_PER_TIME_TOKEN, TokenPhrase, before_end, token_phrases

BEAM_SIZE = 5
MAX_OUTPUT_TOKENS_PER_S, OUTPUT_TOKEN_ALLOWANCE = 12, 16
"""The decoder is stopped here; what reaches it is a loop."""
MAX_SPELLED_TOKENS_PER_S = 60
SPELLED_LANGUAGES = frozenset(
    ("am", "as", "bn", "bo", "gu", "hi", "hy", "ka", "km", "kn", "lo", "ml", "mn", "mr", "my", "ne", "pa", "sa", "si",
     "ta", "te", "th")
)  # fmt: skip
"""Where the decoder is stopped in languages whose letters have a token or several each: counted, 14 to 66 a second."""
FRAMES_PER_S = 100
MAX_READ_TOKENS = 4
"""Of a text for which it is said what else it may be: a word or a number by itself."""


@dataclass(slots=True)
class BatchItem:
    """One window on its way through the model."""

    window: Window
    place: int
    """Its index in the call."""
    features: Features
    frames: int
    """How many of the features' are not padding."""
    prompt: list[int]
    told: list[int]
    """Tokens of what was said before the window."""
    language: str = ""
    probability: float = 1.0
    tokenizer: Any = None
    logprob: float = 0.0
    """Mean of what it says; CTranslate2 divides by what it was told, too."""
    phrases: list[TokenPhrase] = field(default_factory=list)
    words: tuple[Word, ...] = ()
    others: tuple[Reading, ...] = ()

    @property
    def seconds(self) -> float:
        """Of audio."""
        return self.frames / FRAMES_PER_S

    @property
    def tokens(self) -> list[int]:
        """Of its text."""
        return [token for phrase in self.phrases for token in phrase.tokens]

    @property
    def text(self) -> str:
        """What is said in its window. Of what it is told the end may be missing: words that are heard before the window
        are that, and not said again."""
        if not self.told:
            return str(self.tokenizer.decode(self.tokens)).strip()
        return "".join(word.text for word in self.words).strip()

    @property
    def offset(self) -> float:
        """Seconds of audio before its window."""
        return len(self.window.before.samples) / SAMPLE_RATE if self.window.before else 0.0

    @property
    def forced(self) -> list[int]:
        """What the decoder's text begins with: what was said before, between time tokens. The model must then say when
        it goes on, or that it does not."""
        if not self.told:
            return []
        zero: int = self.tokenizer.timestamp_begin
        return [zero, *self.told, zero + round(self.offset / SECONDS_PER_TIME_TOKEN)]

    @property
    def group(self) -> tuple[int, int, int, int, float]:
        """Items with the same value can be decoded together: CTranslate2 wants the same shape, beam, temperature, and
        length of what it is told before and after the task tokens, whose number is the same for all."""
        return self.features.shape[1], self.beam, len(self.prompt), len(self.told), self.window.temperature

    @property
    def beam(self) -> int:
        """1 is greedy, or drawn."""
        return BEAM_SIZE if self.window.careful and not self.window.temperature else 1

    @property
    def search(self) -> dict[str, Any]:
        """How CTranslate2 is to look for the text: a beam; or, with a temperature, the best of several drawn ones."""
        if temperature := self.window.temperature:
            return {
                "beam_size": 1, "num_hypotheses": BEAM_SIZE, "sampling_topk": 0, "sampling_temperature": temperature
            }  # fmt: skip
        return {"beam_size": self.beam, "num_hypotheses": 1 if self.told else self.beam}

    @property
    def most(self) -> int:
        """Tokens that its text has at most, once the language is known."""
        rate = MAX_SPELLED_TOKENS_PER_S if self.language in SPELLED_LANGUAGES else MAX_OUTPUT_TOKENS_PER_S
        return int(OUTPUT_TOKEN_ALLOWANCE + rate * self.seconds)

    def take(self, decoded: Any) -> None:
        """Takes what CTranslate2 decoded: the tokens of its text, and how sure that is."""
        found, forced = decoded.sequences_ids[0], len(self.forced)
        self.logprob = float(decoded.scores[0]) * len(found) / max(1, len(found) - forced)
        told = token_phrases(found[: self.most + forced], self.tokenizer.timestamp_begin, self.tokenizer.eot)
        self.phrases = before_end(told[bool(forced) :], self.seconds)
        if not self.told and not self.window.temperature and len(self.tokens) <= MAX_READ_TOKENS:
            self.others = tuple(self._readings(decoded))

    def _readings(self, decoded: Any) -> Iterator[Reading]:
        """The other texts that the beam ended with."""
        known = {self.text}
        for found, score in zip(decoded.sequences_ids[1:], decoded.scores[1:], strict=True):
            text = str(self.tokenizer.decode([token for token in found if token < self.tokenizer.eot])).strip()
            if text not in known:
                known.add(text)
                yield Reading(text, float(score))

    def hypothesis(self, no_speech: float) -> Hypothesis:
        """What is known of it now. `no_speech`: the probability that nobody speaks."""
        return Hypothesis(
            text=self.text,
            language=self.language,
            language_probability=self.probability,
            tokens=len(self.tokens),
            avg_logprob=self.logprob,
            no_speech=no_speech,
            words=self.words,
            others=self.others,
            phrases=tuple(
                Phrase(
                    self.tokenizer.decode([*phrase.tokens]),
                    max(0.0, phrase.start - self.offset),
                    None if phrase.end is None else max(0.0, phrase.end - self.offset),
                )
                for phrase in self.phrases
            ),
        )


def grouped(items: Iterable[BatchItem]) -> list[list[BatchItem]]:
    """The items that can be decoded together."""
    groups: dict[tuple[int, int, int, int, float], list[BatchItem]] = {}
    for item in items:
        groups.setdefault(item.group, []).append(item)
    return [*groups.values()]
