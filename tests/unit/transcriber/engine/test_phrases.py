"""What a model says between its time tokens."""

from __future__ import annotations

import pytest

from transcriber.core.windows import Phrase
from transcriber.engine.phrases import phrases

END_OF_TEXT, FIRST_TIME = 100, 200


def time(seconds: float) -> int:
    """Its token."""
    return FIRST_TIME + round(seconds / 0.02)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([time(0), 1, 2, time(1.5), time(1.5), 3, time(2.5)], [(" 1 2", 0, 1.5), (" 3", 1.5, 2.5)]),
        ([time(0.5), 1, time(2), time(3), 2, 150], [(" 1", 0.5, 2), (" 2", 3, None)]),
        ([1, 2], [(" 1 2", 0, None)]),
        ([time(0), 1, time(4), time(4)], [(" 1", 0, 4)]),
        ([time(0)], []),
        ([], []),
    ],
)
def test_text_is_cut_at_time_tokens(tokens: list[int], expected: list[tuple[str, float, float | None]]) -> None:
    """The last phrase may have no end; special tokens are no text, nor is a pair of times without any between them."""
    found = phrases(
        tokens,
        first_time=FIRST_TIME,
        end_of_text=END_OF_TEXT,
        decode=lambda said: "".join(f" {token}" for token in said),
    )
    assert found == tuple(Phrase(*phrase) for phrase in expected)
