"""What the soak of bots calls flat."""

from __future__ import annotations

import pytest

from bench.soak import Soaked


def soaked(leak: float) -> Soaked:
    """An hour that fills up for five minutes, then leaks so many megabytes and files a minute."""
    one = Soaked("rehearsal")
    one.samples = [
        (float(second), 100 + min(second, 300) / 10 + leak * second / 60, round(20 + leak * second / 60), 7, 30)
        for second in range(0, 3600, 2)
    ]
    return one


@pytest.mark.parametrize("leak", [0.0, 0.5])
def test_what_fills_up_at_first_is_no_leak_and_what_goes_on_is(leak: float) -> None:
    """Of memory and of files."""
    one = soaked(leak)
    assert one.is_flat() is (leak == 0)
    assert one.memory_per_hour()["slope"] == pytest.approx(60 * leak, abs=0.1)
    assert one.growth()["files"] == pytest.approx(leak * 41, abs=1)
