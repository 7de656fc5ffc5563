"""Live windows on real Whisper weights (bench/words.md has real speech)."""

from __future__ import annotations

from itertools import pairwise

import jiwer

from bench.recordings import words
from tests.support.audio.recordings import clips
from tests.support.real_whisper import MARKS, base
from transcriber.core.windows import Before, Window

pytestmark = MARKS


def test_a_window_after_another_says_what_is_in_it() -> None:
    """Its own words (one in ten may be wrong) at their own times, and nothing of what was said before."""
    engine = base()
    heard = []
    for (earlier, sound), (_, samples) in pairwise(said := clips()[:7]):
        window = Window(samples, language="en", careful=True, words=True, before=Before(sound, earlier))
        [result] = engine.transcribe([window])
        heard.append(words(result.text))
        assert all(0 <= word.start <= word.end <= len(samples) / 16_000 + 0.1 for word in result.words)
    assert jiwer.wer([words(text) for text, _ in said[1:]], heard) <= 0.1


def test_the_end_of_what_was_said_before_is_not_said_again() -> None:
    """Its text may lack the last words that are in its audio: they are no part of the window."""
    engine = base()
    said = clips()[:5]
    for (earlier, sound), (text, samples) in pairwise(said):
        before = Before(sound, " ".join(earlier.split()[:-1]))
        [result] = engine.transcribe([Window(samples[:12_000], language="en", careful=True, before=before)])
        missing = words(earlier).split()[-1]
        assert missing in words(text) or missing not in words(result.text)
