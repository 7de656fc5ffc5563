"""Undecided audio: kept once, bounded, cut at the ends of utterances."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bot.audio.replay import CAPACITY_SAMPLES, Replay


def ramp(start: int, length: int) -> NDArray[np.int16]:
    """Samples that say their own position."""
    return (np.arange(start, start + length) % 30000).astype(np.int16)


@given(st.lists(st.tuples(st.integers(0, 30000), st.booleans(), st.floats(0, 1)), max_size=30))
def test_what_is_kept_is_what_was_appended(steps: list[tuple[int, bool, float]]) -> None:
    """After any appends, ends and decisions the kept audio is exact, bounded, and reads stop at the ends."""
    replay, ends = Replay(), set()
    for length, is_end, share in steps:
        replay.append(ramp(replay.end, length))
        if is_end:
            replay.mark_end()
            ends.add(replay.end)
        replay.decided(replay.start + int(len(replay) * share))
        assert len(replay) <= CAPACITY_SAMPLES
        position, parts = replay.start, []
        while position < replay.end:
            part = replay.read(position, 16000)
            position += len(part)
            parts.append(part)
            assert len(part) == 16000 or position == replay.end or replay.ends_at(position)
        assert np.array_equal(np.concatenate([*parts, ramp(0, 0)]), ramp(replay.start, len(replay)))
        assert all(replay.ends_at(end) for end in ends if replay.start < end)


def test_a_full_buffer_drops_the_oldest() -> None:
    """61 seconds leave the last 60."""
    replay = Replay()
    for second in range(61):
        replay.append(ramp(second * 16000, 16000))
    assert (replay.start, len(replay)) == (16000, CAPACITY_SAMPLES)
    assert replay.read(16000, 4).tolist() == ramp(16000, 4).tolist()


def test_stale_and_impossible_decisions_are_ignored() -> None:
    """An acknowledgement of the past or of the future changes nothing."""
    replay = Replay()
    replay.append(ramp(0, 100))
    replay.decided(50)
    replay.decided(20)
    replay.decided(101)
    assert (replay.start, replay.end) == (50, 100)


def test_an_end_is_marked_once_and_only_after_audio() -> None:
    """Ends without audio before them mean nothing."""
    replay = Replay()
    replay.mark_end()
    assert not replay.ends_at(0)
    replay.append(ramp(0, 10))
    replay.mark_end()
    replay.mark_end()
    assert replay.ends_at(10)
    assert len(replay.read(10, 5)) == 0


def test_an_end_is_marked_where_everything_is_decided_and_lost_with_nothing() -> None:
    """Somebody may be told late that an utterance is over; what follows it has an end of its own."""
    replay = Replay()
    replay.append(ramp(0, 10))
    replay.decided(10)
    replay.mark_end()
    assert replay.ends_at(10)
    replay.append(ramp(10, 10))
    replay.drop(15)
    assert not replay.ends_at(15)


def test_the_end_of_a_dropped_utterance_is_still_told() -> None:
    """Ends that fell out are one end where the rest begins; a decided one is told to nobody any more."""
    replay = Replay()
    for _ in range(3):
        replay.append(ramp(replay.end, 100))
        replay.mark_end()
    replay.drop(250)
    assert (replay.start, replay.end) == (250, 300)
    assert [position for position in range(301) if replay.ends_at(position)] == [250, 300]
    replay.drop(100)
    replay.drop(1000)
    assert (replay.start, len(replay)) == (300, 0)
    assert replay.ends_at(300)
    replay.append(ramp(300, 10))
    replay.decided(305)
    assert not replay.ends_at(300)
