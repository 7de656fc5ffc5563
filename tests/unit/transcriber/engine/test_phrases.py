"""What a model says between its time tokens."""

from __future__ import annotations

import pytest

from transcriber.engine.phrases import TokenPhrase, before_end, token_phrases

END_OF_TEXT, FIRST_TIME = 50, 100


def time(seconds: float) -> int:
    """Its token."""
    return FIRST_TIME + round(seconds / 0.02)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([time(0), 1, 2, time(1.5), time(1.5), 3, time(2.5)], [((1, 2), 0, 1.5), ((3,), 1.5, 2.5)]),
        ([time(0.5), 1, time(2), time(3), 2, END_OF_TEXT], [((1,), 0.5, 2), ((2,), 3, None)]),
        ([1, 2], [((1, 2), 0, None)]),
        ([time(0), 1, time(4), time(4)], [((1,), 0, 4)]),
        ([time(0)], []),
        ([], []),
    ],
)
def test_tokens_are_cut_at_those_that_are_times(
    tokens: list[int], expected: list[tuple[tuple[int, ...], float, float | None]]
) -> None:
    """The last phrase may have no end; special tokens are no text, nor is a pair of times without any between them."""
    assert token_phrases(tokens, FIRST_TIME, END_OF_TEXT) == [TokenPhrase(*phrase) for phrase in expected]


def test_what_begins_where_the_audio_has_ended_is_made_up() -> None:
    """By the model's time tokens; never the first phrase, however short the audio is."""
    first, second, third = phrases = [TokenPhrase((1,), 0, 7), TokenPhrase((2,), 7, 9), TokenPhrase((3,), 6, None)]
    assert before_end(phrases, 7.2) == [first]
    assert before_end(phrases, 7.4) == phrases
    assert before_end([second, third], 7.2) == [second, third]
    assert before_end([second], 0.02) == [second]
