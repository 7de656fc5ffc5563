"""Utterances with numbers in them, as tones that the scripted engine takes for words.

What is lost, said twice or out of order is seen by comparing numbers. Pure.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rehearsal.clips import CLIP_RATE, Clip
from tests.support.fakes.scripted_engine import TONES

WORDS = tuple(TONES.values())
LENGTH = 3
"""Words in an utterance."""
COUNT = len(WORDS) * (len(WORDS) - 1) ** (LENGTH - 1)
"""How many different ones there are; then they begin anew."""
TONE_S = 0.3
UTTERANCE_S = LENGTH * TONE_S
RAMP = CLIP_RATE // 200  # 5 ms: no clicks between tones
MARGIN_S = 2.0
"""Around a time in which speech may be lost: an utterance, its hangover, and a busy machine."""


def words_of(number: int) -> tuple[str, ...]:
    """The utterance of a number; no word stands twice in a row, as two tones would be one."""
    base = len(WORDS) - 1
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


@dataclass(frozen=True, slots=True)
class Said:
    """An utterance that went out as a whole. Times in seconds since 1970."""

    number: int
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Heard:
    """A final of the same speaker."""

    text: str
    begin: float


Span = tuple[float, float]
"""From, until: seconds since 1970."""


def check(said: Sequence[Said], heard: Sequence[Heard], away: Iterable[Span] = ()) -> list[int]:
    """Compares what one speaker said with what is stored of it; returns the numbers that are lost.

    Without `away` every word is there, once and in order. What was said in one of the spans of `away` may be missing or
    there in part; the rest may not.

    Raises:
        AssertionError: With what was said and what is stored.
    """
    spans = [(first - MARGIN_S, last + MARGIN_S) for first, last in away]
    if not spans:
        wanted = [word for utterance in said for word in words_of(utterance.number)]
        stored = [word for final in heard for word in final.text.split()]
        assert stored == wanted, f"said {_shown(wanted)}, stored {_shown(stored)}"
        return []
    numbers: list[int] = []
    known = {utterance.number for utterance in said}
    for final in heard:
        found = [number for number in read(final.text) if number is not None and number in known]
        if len(found) * LENGTH != len(final.text.split()):
            assert _within(final.begin, spans), f"{final} is nothing that was said"
        numbers += found
    left = iter(said)
    lost: list[Said] = []
    for number in numbers:
        for utterance in left:
            if utterance.number == number:
                break
            lost.append(utterance)
        else:
            raise AssertionError(f"{number} was not said, or not then: {numbers} of {[one.number for one in said]}")
    lost += left
    strange = [one for one in lost if not any(one.begin <= last and first <= one.end for first, last in spans)]
    assert not strange, f"lost {strange}, and only {spans} may be"
    return [utterance.number for utterance in lost]


def read(text: str) -> list[int | None]:
    """The numbers in a text; None where there is none: a part of an utterance."""
    words = text.split()
    return [_numbers().get(tuple(words[first : first + LENGTH])) for first in range(0, len(words), LENGTH)]


def _within(moment: float, spans: Iterable[Span]) -> bool:
    return any(first <= moment <= last for first, last in spans)


def _shown(words: Sequence[str]) -> list[int | None]:
    return read(" ".join(words))
