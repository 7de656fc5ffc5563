"""The ring keeps the newest samples at their places; levels and quiet points are found in them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcriber.core.ring import LEVEL_FRAME_SAMPLES, AudioRing, levels, loudest, quiet_point


@given(st.integers(0, 100), st.lists(st.integers(0, 16), max_size=12), st.integers(0, 200), st.integers(0, 200))
def test_the_ring_is_a_list_that_forgets(start: int, sizes: list[int], first: int, last: int) -> None:
    """Any appends, any read: what a plain list would give, as far as it is kept."""
    ring, model = AudioRing(start, capacity=16), list[int]()
    for size in sizes:
        samples = np.arange(len(model), len(model) + size, dtype=np.int16)
        ring.append(samples)
        model += samples.tolist()
    assert (ring.start, ring.end) == (start + max(0, len(model) - 16), start + len(model))
    low, high = max(first, ring.start) - start, min(last, ring.end) - start
    assert ring.read(first, last).tolist() == (model[low:high] if high > low else [])


def test_what_is_read_is_a_copy() -> None:
    """A pass keeps its audio while the ring goes on."""
    ring = AudioRing(0, capacity=4)
    ring.append(np.array([1, 2, 3], np.int16))
    taken = ring.read(0, 3)
    ring.append(np.array([9, 9, 9], np.int16))
    assert taken.tolist() == [1, 2, 3]


def test_levels_are_measured_per_frame() -> None:
    """Full scale is 1; what is less than a frame counts as nothing."""
    samples = np.concatenate([np.full(LEVEL_FRAME_SAMPLES, 16384), np.zeros(LEVEL_FRAME_SAMPLES + 5)]).astype(np.int16)
    assert levels(samples).tolist() == [0.5, 0.0]
    assert loudest(samples) == 0.5
    assert loudest(np.full(10, 16384, np.int16)) == 0.0


def test_the_quiet_point_is_in_the_pause() -> None:
    """A cut goes through the middle of the quietest 160 ms."""
    samples = np.random.default_rng(1).normal(0, 3000, 40 * LEVEL_FRAME_SAMPLES).astype(np.int16)
    samples[20 * LEVEL_FRAME_SAMPLES : 25 * LEVEL_FRAME_SAMPLES] = 0
    assert quiet_point(samples) == pytest.approx(22.5 * LEVEL_FRAME_SAMPLES)
