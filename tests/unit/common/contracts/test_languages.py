"""Languages: Whisper's, however people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.languages import LANGUAGE_NAMES, language_code


def test_the_languages_are_whispers() -> None:
    """As faster-whisper lists them; names are lower case and differ."""
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    assert set(LANGUAGE_NAMES) == set(_LANGUAGE_CODES)
    assert len(set(LANGUAGE_NAMES.values())) == len(LANGUAGE_NAMES)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("en", "en"), ("yue", "yue"), (" EN ", "en"), ("haw", "haw"),
        ("en-US", "en"), ("pt_BR", "pt"), ("zh-Hans-CN", "zh"), ("es-419", "es"), ("nb-NO", "no"), ("jv", "jw"),
        ("English", "en"), ("haitian creole", "ht"), ("Mandarin", "zh"),
        ("", None), ("xx", None), ("xx-US", None), ("en-", None), ("e1", None), ("klingon", None), ("auto", None),
        ("d\ud83d", None),
    ],
)  # fmt: skip
def test_codes_regions_and_names_are_understood(text: str, code: str | None) -> None:
    """A region is left out; what Whisper does not know reaches no transcriber: a stock one may hang over it."""
    assert language_code(text) == code


@given(st.text())
def test_any_text_is_a_language_of_whispers_or_none(text: str) -> None:
    """And what is found is found again."""
    code = language_code(text)
    assert code is None or (code in LANGUAGE_NAMES and language_code(code) == code)
