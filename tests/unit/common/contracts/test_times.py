"""Points in time as payloads spell them."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.times import is_iso_utc, iso_utc


@given(st.floats(0, 4e9))
def test_iso_times_read_back_to_the_millisecond(timestamp: float) -> None:
    """iso_utc rounds to milliseconds and nothing more."""
    assert is_iso_utc(iso_utc(timestamp))
    assert abs(datetime.fromisoformat(iso_utc(timestamp)).timestamp() - timestamp) <= 0.000501


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-01-31", "2026-01-31T09:30:00Z", "2026-01-31T09:30:00.250", "2026-01-31T09:30:00.250+00:00",
     "2026-01-31T09:30:00.2500Z", "2026-02-30T09:30:00.250Z", "2026-W05-6T09:30:00.250Z", "0000-01-31T09:30:00.250Z"],
)  # fmt: skip
def test_other_spellings_are_none(text: str) -> None:
    """There is one way to write a time."""
    assert not is_iso_utc(text)
