"""Stretches of speech become windows, and times in them times in the recording."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from transcriber.core.packing import PackedWindow, Span, SpeechPacker

SECOND = 16_000
LONGEST = 30 * SECOND
PAUSED = PackedWindow(((SECOND, 3 * SECOND), (60 * SECOND, 61 * SECOND)), ((0, 4 * SECOND), (59 * SECOND, 62 * SECOND)))
"""Two seconds of speech, and a minute later another one."""


def seconds(*spans: tuple[float, float]) -> tuple[Span, ...]:
    """Spans in samples."""
    return tuple((round(first * SECOND), round(last * SECOND)) for first, last in spans)


def packed(speech: tuple[Span, ...], end: int | None = None, longest: int = LONGEST) -> list[PackedWindow]:
    """The windows of a recording; what is quiet is the middle."""
    packer = SpeechPacker(longest, lambda first, last: (first + last) // 2)
    windows: list[PackedWindow] = []
    for first, last in speech:
        packer.add(first, last)
        windows += packer.full()
    return [*windows, *packer.rest(speech[-1][1] if end is None and speech else end or 0)]


@st.composite
def recordings(draw: st.DrawFn) -> tuple[tuple[Span, ...], int]:
    """Stretches of speech of up to a minute, apart, and the length of the recording."""
    speech, at = [], draw(st.integers(0, 3 * SECOND))
    for length, pause in draw(
        st.lists(st.tuples(st.integers(1, 60 * SECOND), st.integers(1, 5 * SECOND)), max_size=20)
    ):
        speech.append((at, at + length))
        at += length + pause
    return tuple(speech), (speech[-1][1] if speech else 0) + draw(st.integers(0, 3 * SECOND))


def test_what_fits_is_one_window_with_a_second_around_it() -> None:
    """Within the recording; longer pauses are shortened to two seconds, shorter ones are kept as they are."""
    [window] = packed(seconds((0.5, 2), (3.5, 5), (20, 21)), 21 * SECOND + SECOND // 2)
    assert window.pieces == seconds((0, 6), (19, 21.5))
    assert window.speech == seconds((0.5, 2), (3.5, 5), (20, 21))
    assert (window.length, window.spoken, window.seconds) == (round(8.5 * SECOND), 4 * SECOND, 8.5)


def test_a_full_window_is_cut_at_the_longest_pause_that_comes_late() -> None:
    """Neither at the last one, nor at a longer one at the beginning; each side gets half of the pause."""
    first, second = packed(seconds((0, 2), (3.9, 18), (18.5, 22), (22.2, 27), (27.1, 33)))
    assert first.pieces == seconds((0, 18.25))
    assert second.pieces == seconds((18.25, 33))


def test_pauses_of_two_seconds_and_more_are_alike_and_the_last_of_them_is_taken() -> None:
    """So the window is as full as it can be."""
    first, _ = packed(seconds((0, 18), (21, 22), (30, 50)))
    assert first.speech == seconds((0, 18), (21, 22))


def test_without_a_late_pause_the_last_one_is_taken_and_without_any_speech_is_cut_where_it_is_quiet() -> None:
    """In the last part of what fits."""
    first, second, third = packed(seconds((0, 5), (5.2, 45)))
    assert (first.speech, second.speech[0][0]) == (seconds((0, 5)), round(5.2 * SECOND))
    cut = second.speech[0][1]
    assert 5.2 + 0.6 * 28 < cut / SECOND < 5.2 + 28
    assert second.pieces[-1][1] == cut == third.pieces[0][0] == third.speech[0][0]


def test_an_utterance_that_goes_on_is_added_again() -> None:
    """It is one stretch; what is needed of the audio grows with it, until it is in a window."""
    packer = SpeechPacker(LONGEST, lambda first, last: first)
    for last in range(1, 10):
        packer.add(2 * SECOND, (2 + last) * SECOND)
    assert packer.needed == seconds((1, 12))
    assert not list(packer.full())
    packer.add(2 * SECOND, 31 * SECOND)
    [window] = packer.full()
    packer.add(2 * SECOND, 32 * SECOND)
    [rest] = packer.rest(33 * SECOND)
    assert window.speech[0][1] == rest.speech[0][0]
    assert rest.speech[0][1] == 32 * SECOND
    assert packer.needed == ()


@given(recordings(), st.integers(6, 30))
def test_all_speech_is_in_a_window_once_and_none_is_too_long(
    recording: tuple[tuple[Span, ...], int], longest: int
) -> None:
    """In order; no window has anything of another one's audio, or from outside the recording."""
    speech, end = recording
    windows = packed(speech, end, longest * SECOND)
    assert all(window.length <= longest * SECOND for window in windows)
    pieces = [span for window in windows for span in window.pieces]
    stretches = [span for window in windows for span in window.speech]
    assert all(0 <= first < last <= end for first, last in pieces)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(pieces))
    assert _joined(stretches) == _joined(list(speech))
    for window in windows:
        assert all(any(a <= first and last <= b for a, b in window.pieces) for first, last in window.speech)


@given(recordings(), st.lists(st.floats(-1, 40), min_size=2, max_size=6))
def test_times_are_those_of_the_recording_and_in_order(
    recording: tuple[tuple[Span, ...], int], times: list[float]
) -> None:
    """Within the audio of the window, however wrong the model is about them."""
    speech, end = recording
    for window in packed(speech, end):
        spans = [window.times(start, stop) for start, stop in itertools.pairwise(sorted(times))]
        words = [window.word_times(start, stop) for start, stop in itertools.pairwise(sorted(times))]
        first, last = window.pieces[0][0] / SECOND, window.pieces[-1][1] / SECOND
        assert all(first <= start <= stop <= last for start, stop in spans + words)
        for found in (spans, words):
            assert [start for start, _ in found] == sorted(start for start, _ in found)


def test_a_time_in_a_window_is_found_again_in_the_recording() -> None:
    """Before and after a pause that was shortened; what is said is said where speech is."""
    assert PAUSED.times(1.5, 2.5) == (1.5, 2.5)
    assert PAUSED.times(5.0, 5.5) == (60.0, 60.5)
    assert PAUSED.times(0.2, 3.7) == (1.0, 3.0)
    assert PAUSED.times(2.0, 5.5) == (2.0, 60.5)
    assert PAUSED.times(0.2, 0.4) == (0.2, 0.4)
    assert PAUSED.times(99.0, 100.0) == (62.0, 62.0)


def test_a_word_is_on_one_side_of_a_pause() -> None:
    """The one of its middle."""
    assert PAUSED.word_times(2.8, 4.1) == (2.8, 3.0)
    assert PAUSED.word_times(3.8, 5.3) == (60.0, 60.3)


def test_a_window_is_split_at_a_time() -> None:
    """All of it is in one of both parts; either may be without speech, or without anything."""
    assert PAUSED.split(2.0) == (
        PackedWindow(((SECOND, 2 * SECOND),), ((0, 2 * SECOND),)),
        PackedWindow(((2 * SECOND, 3 * SECOND), PAUSED.speech[1]), ((2 * SECOND, 4 * SECOND), PAUSED.pieces[1])),
    )
    before, rest = PAUSED.split(3.5)
    assert (before.speech, rest.speech) == (PAUSED.speech[:1], PAUSED.speech[1:])
    assert PAUSED.split(6.5)[1].speech == ()
    assert PAUSED.split(9.0) == (PAUSED, PackedWindow((), ()))


def test_halves() -> None:
    """Cut in the pause nearest to the middle; all of it is in one of them. One stretch has no halves."""
    [window] = packed(seconds((0, 3), (3.5, 9), (10, 12), (13, 15)))
    halves = window.halves()
    assert halves
    left, right = halves
    assert (left.speech, right.speech) == (window.speech[:2], window.speech[2:])
    assert (left.pieces, right.pieces) == (seconds((0, 9.5)), seconds((9.5, 15)))
    assert PAUSED.halves() == (
        PackedWindow(PAUSED.speech[:1], PAUSED.pieces[:1]), PackedWindow(PAUSED.speech[1:], PAUSED.pieces[1:]),
    )  # fmt: skip
    assert right.halves()
    assert PackedWindow(seconds((1, 2)), seconds((0, 3))).halves() is None


def _joined(spans: list[Span]) -> list[Span]:
    """Without the cuts between them."""
    joined: list[Span] = []
    for first, last in spans:
        begin = joined.pop()[0] if joined and joined[-1][1] == first else first
        joined.append((begin, last))
    return joined
