"""What an engine gives for a window is looked at before anybody believes it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from transcriber.core.languages import UNTOLD_LANGUAGE_SHARE
from transcriber.core.windows import Hypothesis, Phrase, Reading, Window, Word, flaw_of, with_language


def test_a_sound_hypothesis_has_no_flaw() -> None:
    """Numbers may be numpy's, and a phrase without an end."""
    half: Any = np.float32(0.5)
    word, phrase, other = Word(" hello", 0.0, half, half), Phrase("hello", 0.0, None), Reading("Hello?", -half)
    assert flaw_of(Hypothesis("hello", "en", np.float64(1), 1, -half, 0.0, (word,), (phrase,), (other,))) is None
    assert flaw_of(Hypothesis("")) is None


@pytest.mark.parametrize(
    ("heard", "named"),
    [
        (None, "NoneType in the place of a Hypothesis"),
        ("secret", "str in the place of a Hypothesis"),
        (Hypothesis(None), "text"),  # type: ignore[arg-type]
        (Hypothesis("secret \ud800"), "text"),
        (Hypothesis("secret", language=[]), "text"),  # type: ignore[arg-type]
        (Hypothesis("secret", words=None), "phrases"),  # type: ignore[arg-type]
        (Hypothesis("secret", words=("secret",)), "phrases"),  # type: ignore[arg-type]
        (Hypothesis("secret", phrases=(Word("secret", 0, 1, 1),)), "phrases"),  # type: ignore[arg-type]
        (Hypothesis("secret", others=("secret",)), "readings"),  # type: ignore[arg-type]
        (Hypothesis("secret", others=(Reading("secret \ud800", -1.0),)), "text"),
        (Hypothesis("secret", others=(Reading("secret", math.nan),)), "number"),
        (Hypothesis("secret", words=(Word("secret", math.nan, 1.0, 0.9),)), "number"),
        (Hypothesis("secret", words=(Word("secret", 0.0, 1.0, math.inf),)), "number"),
        (Hypothesis("secret", phrases=(Phrase("secret", 0.0, 1e308),)), "number"),
        (Hypothesis("secret", avg_logprob=10**400), "number"),
        (Hypothesis("secret", tokens="2"), "number"),  # type: ignore[arg-type]
    ],
)
def test_what_is_none_is_named_and_not_quoted(heard: Any, named: str) -> None:
    """Another type, half a character, no number, one beyond all measure."""
    flaw = flaw_of(heard)
    assert flaw is not None
    assert named in flaw
    assert "secret" not in flaw


@pytest.mark.parametrize(
    ("window", "language", "probability"),
    [
        ({}, None, UNTOLD_LANGUAGE_SHARE),
        ({"prior": "de"}, None, UNTOLD_LANGUAGE_SHARE),
        ({"language": "de", "allowed": frozenset({"es"})}, "de", 1.0),
        ({"allowed": frozenset({"es"})}, "es", 1.0),
        ({"allowed": frozenset({"es", "de"})}, None, UNTOLD_LANGUAGE_SHARE),
    ],
)
def test_a_language_that_nobody_says_is_the_one_asked_for(
    window: dict[str, Any], language: str | None, probability: float
) -> None:
    """Or the only one that it may be; else nobody knows it. What an engine says is left alone."""
    asked = Window(np.zeros(0, np.int16), **window)
    heard = with_language(Hypothesis("hola"), asked)
    assert (heard.text, heard.language, heard.language_probability) == ("hola", language, probability)
    assert with_language(Hypothesis("hola", "fr"), asked).language == "fr"
