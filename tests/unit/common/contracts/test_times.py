"""Points in time as payloads spell them."""

from __future__ import annotations

from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from common.contracts.times import iso_utc


@given(st.floats(0, 4e9))
def test_iso_times_read_back_to_the_millisecond(timestamp: float) -> None:
    """iso_utc rounds to milliseconds and nothing more."""
    assert abs(datetime.fromisoformat(iso_utc(timestamp)).timestamp() - timestamp) <= 0.000501
