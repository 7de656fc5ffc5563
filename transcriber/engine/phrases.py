"""Phrases: what a model says between its time tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SECONDS_PER_TIME_TOKEN = 0.02
END_CLEARANCE_S = 0.3
"""No word begins so close to the end of what is decoded: silence follows the speech there."""


@dataclass(frozen=True, slots=True)
class TokenPhrase:
    """Text tokens, and seconds since the start of the window."""

    tokens: tuple[int, ...]
    start: float
    end: float | None
    """None: the decoder ended before it said so."""


def token_phrases(tokens: Sequence[int], first_time: int, end_of_text: int) -> list[TokenPhrase]:
    """Cuts tokens at those that are times.

    Args:
        tokens: Of text, times and others, in the order in which they came.
        first_time: The token of 0.0 s; what is larger is later.
        end_of_text: Tokens below are text.
    """
    found: list[TokenPhrase] = []
    start, said = 0.0, list[int]()
    for token in tokens:
        if token < end_of_text:
            said.append(token)
        elif token >= first_time:
            at = round((token - first_time) * SECONDS_PER_TIME_TOKEN, 2)
            if said:
                found.append(TokenPhrase(tuple(said), start, at))
                said = []
            start = at
    if said:
        found.append(TokenPhrase(tuple(said), start, None))
    return found


def before_end(phrases: Sequence[TokenPhrase], seconds: float) -> list[TokenPhrase]:
    """Those before the end of the audio: what follows, by the model's own time tokens, is made up. The first one counts
    in any case."""
    last = next((n for n, phrase in enumerate(phrases) if n and phrase.start >= seconds - END_CLEARANCE_S), None)
    return list(phrases[:last])
