"""A microphone: clips at their sample-exact places, and the truth about what was sent of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.clips import CLIP_RATE, Clip
from rehearsal.microphone import FRAME_SAMPLES, ROOM_TONE, Microphone, Truth

WALL = 1_700_000_000.0


def clip(length: int = 48_000, speech: tuple[int, int] = (4_800, 43_200)) -> Clip:
    """Samples that count up, so that each can be told."""
    return Clip((np.arange(length) % 30_000 + 1).astype(np.int16), None, speech)


def run(microphone: Microphone, frames: range, muted: range = range(0), lag: float = 0.0) -> list[Truth]:
    """Sends frames, some of them muted, each as it ends; returns the rows."""
    rows = []
    for frame in frames:
        wall = WALL + (frame + 1) * FRAME_SAMPLES / CLIP_RATE + lag
        rows += microphone.captured(frame, frame not in muted, lag, wall)
    return rows


@given(st.integers(0, 5 * FRAME_SAMPLES), st.integers(1, 5 * FRAME_SAMPLES))
def test_clips_lie_where_they_begin(first: int, length: int) -> None:
    """Whatever the sample a clip begins at: room tone, the clip, room tone."""
    microphone = Microphone("ana")
    microphone.speak(clip(length, (0, length)), first, None, "Ana")
    heard = np.concatenate([microphone.capture(frame) for frame in range(11)])
    expected = np.tile(ROOM_TONE, 11)
    expected[first : first + length] = clip(length).pcm
    assert (heard == expected).all()


def test_truth_of_a_whole_clip() -> None:
    """Times of the first and last sample of speech, in the meeting and on the wall clock."""
    microphone = Microphone("ana")
    assert microphone.speak(clip(), CLIP_RATE, "hello", "Ana") == []
    (row,) = run(microphone, range(49, 110))
    assert row == Truth("ana", "Ana", "hello", 1.1, 1.9, WALL + 1.9, True)
    assert microphone.stop() == []


def test_lag_is_part_of_the_truth() -> None:
    """Frames that go out late are heard late."""
    microphone = Microphone("ana")
    microphone.speak(clip(), CLIP_RATE, None, "Ana")
    (row,) = run(microphone, range(50, 110), lag=0.25)
    assert (row.start, row.end) == (1.35, 2.15)
    assert row.end_utc == pytest.approx(WALL + 2.15, abs=0.001)


@pytest.mark.parametrize(
    ("muted", "start", "end"),
    [(range(50, 60), 1.2, 1.9), (range(70, 75), 1.1, 1.9), (range(80, 110), 1.1, 1.6)],
)
def test_muting_makes_it_incomplete(muted: range, start: float, end: float) -> None:
    """Muted at the beginning, in the middle and at the end: what was sent, and that it was not all."""
    microphone = Microphone("ana")
    microphone.speak(clip(), CLIP_RATE, "hello", "Ana")
    (row,) = run(microphone, range(49, 110), muted)
    assert (row.start, row.end, row.complete) == (start, end, False)


def test_nothing_sent_is_nothing_said() -> None:
    """A clip spoken while muted leaves no row."""
    microphone = Microphone("ana")
    microphone.speak(clip(), CLIP_RATE, "hello", "Ana")
    assert run(microphone, range(49, 110), range(49, 110)) == []


def test_interrupted() -> None:
    """A next clip cuts the former; one that has not begun, or whose speech is over, is not counted as cut."""
    microphone = Microphone("ana")
    microphone.speak(clip(), CLIP_RATE, "one", "Ana")
    assert run(microphone, range(49, 70)) == []
    (row,) = microphone.speak(clip(), 2 * CLIP_RATE, "two", "Dr. Ana")
    assert (row.text, row.end, row.complete) == ("one", 1.4, False)
    assert microphone.speak(clip(), 3 * CLIP_RATE, "three", "Dr. Ana") == []
    (row,) = run(microphone, range(150, 196))
    assert (row.name, row.text, row.complete) == ("Dr. Ana", "three", True)
    assert microphone.speak(clip(), 4 * CLIP_RATE, "four", "Ana") == []
