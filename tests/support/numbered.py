"""Utterances with numbers in them, as tones that the scripted engine takes for words.

What is lost, said twice or out of order is seen by comparing numbers. Pure.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, groupby, product

import numpy as np

from rehearsal.clips import CLIP_RATE, Clip
from tests.support.fakes.scripted_engine import TONES

WORDS = tuple(TONES.values())
LENGTH = 3
"""Words in an utterance."""
COUNT = len(WORDS) * (len(WORDS) - 1) ** (LENGTH - 1)
"""How many different ones there are; then they begin anew."""
STRIDE = 101
"""Prime to that: numbers that follow each other share no words at the same place."""
TONE_S = 0.5
"""Long enough that one of two pieces is a word, wherever a pause that nobody made cuts it."""
UTTERANCE_S = LENGTH * TONE_S
RAMP = CLIP_RATE // 200  # 5 ms: no clicks between tones
MARGIN_S = 2.0
"""Around a time in which speech may be lost: an utterance, its hangover, and a busy machine."""


def words_of(number: int) -> tuple[str, ...]:
    """The utterance of a number; no word stands twice in a row, as two tones would be one."""
    base, number = len(WORDS) - 1, number * STRIDE % COUNT
    digits = [number // base ** (LENGTH - 1 - place) for place in range(LENGTH)]
    tone, tones = digits[0] % len(WORDS), [digits[0] % len(WORDS)]
    for digit in digits[1:]:
        tone = (tone + 1 + digit % base) % len(WORDS)
        tones.append(tone)
    return tuple(WORDS[tone] for tone in tones)


@functools.cache
def _numbers() -> dict[tuple[str, ...], int]:
    return {words_of(number): number for number in range(COUNT)}


@functools.cache
def clip(number: int) -> Clip:
    """Its sound, at 48 kHz."""
    time = np.arange(round(TONE_S * CLIP_RATE)) / CLIP_RATE
    fade = np.minimum(1.0, np.minimum(np.arange(len(time)), np.arange(len(time))[::-1]) / RAMP)
    pitches = {word: hertz for hertz, word in TONES.items()}
    tones = [8000 * fade * np.sin(2 * np.pi * pitches[word] * time) for word in words_of(number)]
    pcm = np.concatenate(tones).astype(np.int16)
    return Clip(pcm, " ".join(words_of(number)), (0, len(pcm)))


STALL_S = 0.6
"""So much longer than it should, and the machine that *sends* an utterance was too busy: it went out in pieces, and a
piece of a tone is no word. That is no fault of who hears it."""
HOLE_S = 0.1
"""So much of it, in all, that its sender had nothing to send: the same. As long as what takes a tone for a word."""


@dataclass(frozen=True, slots=True)
class Said:
    """An utterance that went out as a whole. Times in seconds since 1970."""

    number: int
    begin: float
    end: float
    hole: float = 0.0
    """Seconds in it for which its sender had nothing to send, as far as that is known."""

    @property
    def is_torn(self) -> bool:
        """The sender stalled in it."""
        return self.end - self.begin > UTTERANCE_S + STALL_S or self.hole >= HOLE_S


Span = tuple[float, float]
"""From, until: seconds since 1970."""


def check(said: Sequence[Said], stored: Sequence[str], away: Sequence[Span] = ()) -> int:
    """Compares what one speaker said with the texts that are stored of it; returns how many words are lost.

    Every word is there, once and in order, in whatever pieces it was heard: a tone that was cut in two is two of the
    same word, which nobody says. What was said in one of the spans of
    `away`, or torn by its sender, may be missing, or there in part; the rest may not.

    Raises:
        AssertionError: With what was said and what is stored.
    """
    words = _merged(word for text in stored for word in text.split())
    spans = [(first - MARGIN_S, last + MARGIN_S) for first, last in away]
    reached = {0}  # how many of the stored words what was said so far may be
    for place, utterance in enumerate(said):
        before, whole = reached, words_of(utterance.number)
        pieces = _pieces(whole) if utterance.is_torn or _overlaps(utterance, spans) else [whole]
        reached = {end for at in before for part in pieces for end in _ends(words, at, part)}
        assert reached, (
            f"stored {words[max(0, max(before) - LENGTH) : max(before) + 2 * LENGTH]} where {whole} was said, "
            f"utterance {place}, {utterance}, of {len(said)}"
        )
    assert len(words) in reached, f"more is stored than was said: {words[max(reached) :]}"
    return len(_merged(word for utterance in said for word in words_of(utterance.number))) - len(words)


def _merged(words: Iterable[str]) -> list[str]:
    """Each run of the same word as one."""
    return [word for word, _ in groupby(words)]


def _ends(words: Sequence[str], at: int, part: Sequence[str]) -> Iterator[int]:
    """Where `part` ends if it begins at `at`; or a word earlier, which was the last of the utterance before, too."""
    for first in (at, at - 1) if part and at and words[at - 1] == part[0] else (at,):
        if list(words[first : first + len(part)]) == list(part):
            yield first + len(part)


def _pieces(words: tuple[str, ...]) -> list[tuple[str, ...]]:
    """All that may be left of an utterance of which any words were lost, those in the middle too."""
    kept = product((True, False), repeat=len(words))
    return [tuple(_merged(compress(words, each))) for each in kept]


def _overlaps(utterance: Said, spans: Sequence[Span]) -> bool:
    return any(utterance.begin <= last and first <= utterance.end for first, last in spans)


def read(text: str) -> list[int | None]:
    """The numbers in a text; None where there is none: a part of an utterance."""
    words = text.split()
    return [_numbers().get(tuple(words[first : first + LENGTH])) for first in range(0, len(words), LENGTH)]
