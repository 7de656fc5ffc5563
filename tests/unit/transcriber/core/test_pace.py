"""How fast a client is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.whisperlive.protocol import SAMPLE_RATE
from transcriber.core.pace import BURST_S, MAX_READ_SPEED, MIN_MESSAGE_SAMPLES, Pace, overhead_samples


def test_a_burst_is_free_and_the_rest_waits() -> None:
    """Four times real time; the burst comes back with time."""
    pace = Pace(100)
    assert pace.wait(int(BURST_S * SAMPLE_RATE), 100) == 0
    assert pace.wait(SAMPLE_RATE, 100) == pytest.approx(1 / MAX_READ_SPEED)
    assert pace.wait(SAMPLE_RATE, 100 + 1 / MAX_READ_SPEED) == pytest.approx(1 / MAX_READ_SPEED)
    assert pace.wait(int(BURST_S * SAMPLE_RATE), 200) == 0


@given(st.lists(st.tuples(st.integers(1, 100_000), st.floats(0, 3)), max_size=50))
def test_nobody_is_read_faster_than_that(messages: list[tuple[int, float]]) -> None:
    """Whatever comes when, if each wait is kept."""
    pace, now, taken = Pace(0), 0.0, 0
    for samples, later in messages:
        now += later
        now += pace.wait(samples, now)
        taken += samples
        assert taken / SAMPLE_RATE <= BURST_S + MAX_READ_SPEED * now + 1e-6


def test_tiny_messages_have_a_weight() -> None:
    """Beside their samples; text has no samples."""
    assert overhead_samples(b"") == overhead_samples("{}") == MIN_MESSAGE_SAMPLES
    assert overhead_samples(bytes(4 * MIN_MESSAGE_SAMPLES)) == 0
    assert overhead_samples("x" * 8000) == 2000
