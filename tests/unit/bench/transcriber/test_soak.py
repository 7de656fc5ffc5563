"""Which samples of the soak count."""

from __future__ import annotations

import pytest

from bench.transcriber.soak import SETTLED_CLIENTS, trends

LONG = [(float(second), 0, 100.0 + second % 2) for second in range(600)]


@pytest.mark.parametrize("leak", [0.0, 94.0])
def test_what_fills_up_at_first_is_no_leak_and_what_goes_on_is(leak: float) -> None:
    """A megabyte in the first clients, then so many bytes of each."""
    short = [
        (0.0, n, 100 + min(n, SETTLED_CLIENTS) / 2000 + leak * n / 2**20) for n in range(1, 2 * SETTLED_CLIENTS + 1)
    ]
    found = trends(LONG, short)["mib_per_1000_clients"]
    assert found["slope"] == pytest.approx(leak * 1000 / 2**20, abs=1e-9)


def test_few_clients_count_after_a_tenth() -> None:
    """For a quick look."""
    short = [(0.0, n, 100 + min(n, 50) / 10) for n in range(1, 501)]
    assert trends(LONG, short)["mib_per_1000_clients"]["slope"] == pytest.approx(0.0, abs=1e-9)
