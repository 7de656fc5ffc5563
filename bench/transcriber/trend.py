"""Whether a series of measurements goes up or down. Pure."""

from __future__ import annotations

import functools
import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Trend:
    """Change of y per unit of x, and the bounds of its 95 % confidence interval."""

    slope: float
    low: float
    high: float

    @property
    def is_flat(self) -> bool:
        """No change is among what the measurements allow."""
        return self.low <= 0.0 <= self.high


def trend(x: Sequence[float], y: Sequence[float], blocks: int) -> Trend:
    """Least squares on the means of consecutive blocks, Student's t on their residuals.

    Neighbouring samples of a process's memory are hardly independent; means of long blocks nearly are.

    Raises:
        ValueError: Fewer than one sample per block, or fewer than four blocks.
    """
    if len(x) != len(y) or len(x) < blocks or blocks < 4:
        raise ValueError(f"{len(x)} and {len(y)} samples in {blocks} blocks: at least four, with a sample in each")
    edges = [len(x) * block // blocks for block in range(blocks + 1)]
    spans = [slice(first, last) for first, last in itertools.pairwise(edges)]
    means_x, means_y = ([statistics.fmean(values[span]) for span in spans] for values in (x, y))
    line = statistics.linear_regression(means_x, means_y)
    middle = statistics.fmean(means_x)
    residual = sum((b - line.intercept - line.slope * a) ** 2 for a, b in zip(means_x, means_y, strict=True))
    error = math.sqrt(residual / (blocks - 2) / sum((a - middle) ** 2 for a in means_x))
    half = quantile((1 + LEVEL) / 2, blocks - 2) * error
    return Trend(line.slope, line.slope - half, line.slope + half)


@functools.cache
def quantile(probability: float, degrees: int) -> float:
    """Of Student's t: bisection on its distribution, which Simpson's rule integrates."""
    low, high = 0.0, 1000.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if _distribution(middle, degrees) < probability else (low, middle)
    return (low + high) / 2


def _distribution(t: float, degrees: int) -> float:
    """P(T ≤ t) for t ≥ 0; substituting t = √ν·tan θ makes the integrand cos θ to the power ν - 1."""
    steps = 400
    width = math.atan(t / math.sqrt(degrees)) / steps
    weights = [1, *[4 if step % 2 else 2 for step in range(1, steps)], 1]
    area = sum(w * math.cos(step * width) ** (degrees - 1) for step, w in enumerate(weights)) * width / 3
    scale = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(math.pi)
    return 0.5 + scale * area
