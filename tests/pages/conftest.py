"""What the tests of pages share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A form takes five looks, and there are a hundred forms."""
    monkeypatch.setattr("bot.platforms.pages.attendance.OUTSIDE_PAUSE_S", 0.1)
