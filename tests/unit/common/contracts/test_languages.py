"""Language codes: their form, and Whisper's."""

from __future__ import annotations

import pytest

from common.contracts.languages import WHISPER, is_language, whisper_language
from transcriber.engine.whisper_languages import LANGUAGE_NAMES


@pytest.mark.parametrize(
    ("text", "expected"),
    [("en", True), ("yue", True), ("EN", False), ("english", False), ("", False), ("e1", False), ("d\ud83d", False)],
)
def test_two_or_three_small_letters(text: str, expected: bool) -> None:
    """Nothing else reaches a transcriber."""
    assert is_language(text) is expected


def test_whispers_codes_are_those_that_the_transcriber_knows() -> None:
    """One list on both sides of the wire; anything else becomes none."""
    assert set(LANGUAGE_NAMES) == WHISPER
    assert [whisper_language(code) for code in ("en", "tlh", None)] == ["en", None, None]
