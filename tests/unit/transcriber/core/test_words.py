"""Words in any script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcriber.core.words import is_sign, letters, pieces, syllables, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello,  World", ["Hello,", "  World"]),
        ("今日 ok", ["今", "日", " ok"]),
        ("今日、(ok)。明日", ["今", "日、(", "ok)。", "明", "日"]),
        ("สวัส ดี", ["ส", "วั", "ส", " ดี"]),
        ("", []),
        ("Tu viens ? - Oui !", ["Tu", " viens ? -", " Oui !"]),
        ("- ¿ Sí ?", ["- ¿ Sí ?"]),
        ("… ?", ["… ?"]),
        ("今日 !", ["今", "日 !"]),
    ],
)
def test_pieces_keep_everything(text: str, expected: list[str]) -> None:
    """Spaces go before a word; punctuation, and a vowel written at a sign, stay with it; each Han sign is a word."""
    assert pieces(text) == expected


def test_words_are_what_is_said() -> None:
    """Without punctuation, whatever their case."""
    assert words("Well, 今日 I'm 3rd.") == ["well", "今", "日", "i", "m", "3rd"]
    assert words("यह हिन्दी है। A日") == ["यह", "हिन्दी", "है", "a", "日"]


def test_letters_are_what_two_spellings_have_in_common() -> None:
    """Vowel signs are letters: in Hindi they alone tell many words apart."""
    assert letters(" Meet,") == letters("meet…") == "meet"
    assert letters("की।") == "की" != letters("का")
    assert letters(" - ") == ""


def test_signs_are_told_from_words() -> None:
    """By what a text begins with."""
    assert [is_sign(text) for text in ("日 a", "ส", "a日", "", "の")] == [True, True, False, False, True]


def test_syllables_are_guessed_from_letters() -> None:
    """Signs of kana and Han are one each."""
    assert syllables("今日は") == 3
    assert syllables("hello") == 2


@given(st.text())
def test_pieces_joined_are_the_text(text: str) -> None:
    """Nothing is lost or changed."""
    assert "".join(pieces(text)) == text.strip()
