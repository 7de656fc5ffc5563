"""The last branch of a match that must be complete."""

from __future__ import annotations

import pytest

from bot.core.events import Unhandled, unhandled


def test_an_unhandled_value_is_named_without_its_content() -> None:
    """The type is for the log; what it holds may be somebody's words."""
    with pytest.raises(Unhandled, match=r"^str is not handled$"):
        unhandled("what was said")  # type: ignore[arg-type]
