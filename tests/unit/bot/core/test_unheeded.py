"""Clear speech without an answer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.core.unheeded import MUTE_SAMPLES, MUTE_WINDOW_S, PIECE_S, UnheededSpeech

SPEECH = st.tuples(st.floats(0, 200), st.integers(0, MUTE_SAMPLES // 3))
"""Seconds after the last one, and samples."""


@given(st.lists(SPEECH, max_size=60))
def test_only_what_was_said_in_the_window_counts(said: list[tuple[float, int]]) -> None:
    """To within the seconds that are counted as one: never with too little in any window, always with enough."""
    unheeded, spoken, now = UnheededSpeech(), list[tuple[float, int]](), 0.0
    for pause, samples in said:
        now += pause
        unheeded.add(samples, now)
        unheeded.look(now)
        spoken.append((now, samples))
        at_most = sum(count for at, count in spoken if now - at <= MUTE_WINDOW_S + PIECE_S)
        at_least = sum(count for at, count in spoken if now - at <= MUTE_WINDOW_S - PIECE_S)
        if unheeded.since is None:
            assert at_least < MUTE_SAMPLES
        else:
            assert at_most >= MUTE_SAMPLES
            assert any(at == unheeded.since for at, count in spoken if count)


def test_it_counts_from_the_first_of_it_and_begins_anew() -> None:
    """As long as it goes on, from where it began; an answer, or a window without any, and nothing is left of it."""
    unheeded = UnheededSpeech()
    for second in range(0, 2500, 10):
        unheeded.add(MUTE_SAMPLES // 10, float(second))
        unheeded.look(float(second))
    found = [unheeded.since]
    unheeded.forget()
    found.append(unheeded.since)
    unheeded.add(MUTE_SAMPLES, 3000.0)
    for at in (3000.0, 3000.5 + MUTE_WINDOW_S):
        unheeded.look(at)
        found.append(unheeded.since)
    assert found == [0.0, None, 3000.0, None]
