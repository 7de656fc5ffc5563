"""Language codes: their form, not which ones there are."""

from __future__ import annotations

import pytest

from common.contracts.languages import is_language


@pytest.mark.parametrize(
    ("text", "expected"),
    [("en", True), ("yue", True), ("EN", False), ("english", False), ("", False), ("e1", False), ("d\ud83d", False)],
)
def test_two_or_three_small_letters(text: str, expected: bool) -> None:
    """Nothing else reaches a transcriber."""
    assert is_language(text) is expected
