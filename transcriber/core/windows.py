"""Windows and hypotheses: what goes to the engine, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from transcriber.core.languages import UNTOLD_LANGUAGE_SHARE

Samples = npt.NDArray[np.int16]
MAX_NUMBER = 1e6
"""No time, likelihood or count of one window is larger."""


@dataclass(frozen=True, slots=True)
class Before:
    """What was said just before a window, decoded already: the model hears it again and is told what it was."""

    samples: Samples
    """16 kHz mono, shape (n,)."""
    text: str


@dataclass(frozen=True, slots=True)
class Window:
    """One piece of speech to decode, without regard to anything before it."""

    samples: Samples
    """16 kHz mono, shape (n,), n up to 30 s."""
    language: str | None = None
    """None: to be detected, from `prior` and among `allowed`."""
    prior: str | None = None
    """What the stream has spoken so far: another language needs strong evidence."""
    allowed: frozenset[str] = frozenset()
    """Languages that may be detected; empty: any that the model knows."""
    task: str = "transcribe"
    prompt: str | None = None
    """Names and terms to expect."""
    before: Before | None = None
    """Heard with the window and no part of its result: a word by itself is often misheard."""
    careful: bool = False
    """A final: beam search instead of the likeliest word each time."""
    hurried: bool = False
    """Of a stream's final: there is a backlog, so as short a window as was measured for any language will do."""
    words: bool = False
    """Word times are wanted."""
    full: bool = False
    """Decode with the full 30 s window, as the model was trained: slow, for results that went astray."""
    packed: bool = False
    """A piece of a recording with as many sentences as the model takes at once: decoded as it was trained."""
    temperature: float = 0.0
    """0: the likeliest text. Above: one of several that are drawn, for what went astray without."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word; times in seconds since the start of its window."""

    text: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True, slots=True)
class Phrase:
    """What the model said between two of its time tokens, in seconds since the start of the window."""

    text: str
    start: float
    end: float | None
    """None: the model stopped before it said so."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Another text for the same sound."""

    text: str
    avg_logprob: float
    """As `Hypothesis` has it."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What the engine made of a window."""

    text: str
    language: str | None = None
    """None: the engine does not say."""
    language_probability: float = UNTOLD_LANGUAGE_SHARE
    tokens: int = 0
    """How many the text has."""
    avg_logprob: float = 0.0
    """Mean natural logarithm of the probability of a token."""
    no_speech: float = 0.0
    """Probability that nobody speaks."""
    words: tuple[Word, ...] = ()
    phrases: tuple[Phrase, ...] = ()
    """The text again, cut where the model put time tokens; empty: it puts none."""
    others: tuple[Reading, ...] = ()
    """Of a short text what else it may be, likeliest first; empty: unknown."""
    is_doubtful: bool = False
    """Each try went astray: this is the best of them, and no context for others."""


def with_language(heard: Hypothesis, window: Window) -> Hypothesis:
    """The same; where the engine does not say the language, in the one that was asked for, or the only one allowed."""
    if heard.language is not None:
        return heard
    asked = [window.language] if window.language else [*window.allowed]
    return replace(heard, language=asked[0], language_probability=1.0) if len(asked) == 1 else heard


def flaw_of(heard: object) -> str | None:
    """What is wrong with what an engine gave for a window, without quoting it; None: nothing."""
    if not isinstance(heard, Hypothesis):
        return f"{type(heard).__name__} in the place of a Hypothesis"
    if not (_are(Word, heard.words) and _are(Phrase, heard.phrases) and _are(Reading, heard.others)):
        return "words, phrases or readings that are none"
    texts = (
        heard.text, "" if heard.language is None else heard.language,
        *(part.text for part in (*_parts(heard), *heard.others)),
    )  # fmt: skip
    if not all(map(_is_text, texts)):
        return "a text that is none, or that cannot be written"
    times = [time for part in _parts(heard) for time in (part.start, part.end) if time is not None]
    beliefs = [heard.language_probability, heard.no_speech, *(word.probability for word in heard.words)]
    logprobs = [heard.avg_logprob, *(reading.avg_logprob for reading in heard.others)]
    if not all(_is_number(number) for number in (heard.tokens, *beliefs, *logprobs, *times)):
        return "a number that is none, or beyond all measure"
    return None


def _parts(heard: Hypothesis) -> tuple[Word | Phrase, ...]:
    return (*heard.words, *heard.phrases)


def _are(kind: type, values: object) -> bool:
    return isinstance(values, tuple | list) and all(isinstance(value, kind) for value in values)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.encode(errors="replace") == value.encode(errors="surrogatepass")


def _is_number(value: Any) -> bool:
    is_real: bool = isinstance(value, Real)
    return is_real and bool(abs(value) <= MAX_NUMBER)
