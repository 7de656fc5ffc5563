"""Words in any script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcriber.core.scripts import pieces, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello,  World", ["Hello,", "  World"]),
        ("今日 ok", ["今", "日", " ok"]),
        ("สวัส", ["ส", "ว", "ั", "ส"]),
        ("", []),
    ],
)
def test_pieces_keep_everything(text: str, expected: list[str]) -> None:
    """Spaces go before a word, punctuation stays with it, a sign without spaces stands alone."""
    assert pieces(text) == expected


def test_words_are_what_is_said() -> None:
    """Without punctuation, whatever their case."""
    assert words("Well, 今日 I'm 3rd.") == ["well", "今", "日", "i", "m", "3rd"]


@given(st.text())
def test_pieces_joined_are_the_text(text: str) -> None:
    """Nothing is lost or changed."""
    assert "".join(pieces(text)) == text.strip()
