"""Phrases: what a model says between its time tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from transcriber.core.windows import Phrase

SECONDS_PER_TIME_TOKEN = 0.02


def phrases(
    tokens: Sequence[int], *, first_time: int, end_of_text: int, decode: Callable[[list[int]], str]
) -> tuple[Phrase, ...]:
    """Cuts tokens at those that are times.

    Args:
        tokens: Of text, times and others, in the order in which they came.
        first_time: The token of 0.0 s; what is larger is later.
        end_of_text: Tokens below are text.
        decode: Text tokens → text.
    """
    found: list[Phrase] = []
    start, said = 0.0, list[int]()
    for token in tokens:
        if token < end_of_text:
            said.append(token)
        elif token >= first_time:
            at = round((token - first_time) * SECONDS_PER_TIME_TOKEN, 2)
            if said:
                found.append(Phrase(decode(said), start, at))
                said = []
            start = at
    if said:
        found.append(Phrase(decode(said), start, None))
    return tuple(found)
