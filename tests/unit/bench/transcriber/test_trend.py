"""The benchmark's confidence intervals."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from bench.transcriber.trend import quantile, trend


@pytest.mark.parametrize(("degrees", "value"), [(2, 4.302653), (10, 2.228139), (16, 2.119905), (1000, 1.962339)])
def test_quantiles_are_those_of_the_table(degrees: int, value: float) -> None:
    """Student's t, 97.5 %."""
    assert quantile(0.975, degrees) == pytest.approx(value, abs=1e-5)


def test_a_line_is_found_without_doubt() -> None:
    """Its slope, and bounds that are the slope."""
    found = trend([float(x) for x in range(40)], [3.0 - 0.5 * x for x in range(40)], 10)
    assert (found.slope, found.low, found.high) == pytest.approx((-0.5, -0.5, -0.5))
    assert not found.is_flat


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Noise without a slope, whose neighbours depend on each other: nineteen times of twenty it counts as flat."""
    walks = np.random.default_rng(1).standard_normal((600, 300))
    for before, after in pairwise(walks):
        after += 0.7 * before
    times = [float(x) for x in range(600)]
    flat = sum(trend(times, walk.tolist(), 15).is_flat for walk in walks.T)
    assert 0.91 < flat / 300 < 0.985


@pytest.mark.parametrize(("count", "blocks"), [(3, 4), (10, 3)])
def test_too_little_is_refused(count: int, blocks: int) -> None:
    """A line through three points proves nothing."""
    with pytest.raises(ValueError, match="at least four"):
        trend([0.0] * count, [0.0] * count, blocks)
