"""Garbage: JSON values of any shape, made of the keys and words that a parser knows, by chance and always the same."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

_ODD: tuple[Any, ...] = (None, True, False, 0, 1, -1, 7, 2**64, 0.5, float("nan"), "", "ok", "a\r\nb=c", "é" * 300)


def garbage(count: int, keys: Sequence[str], words: Sequence[Any], seed: int = 1) -> Iterator[dict[str, Any]]:
    """`count` objects: each key may be there, with a word, an odd value, a list or an object again."""
    chance = random.Random(seed)
    for _ in range(count):
        yield _object(chance, keys, words, 3)


def _object(chance: random.Random, keys: Sequence[str], words: Sequence[Any], depth: int) -> dict[str, Any]:
    share = chance.random()
    return {key: _value(chance, keys, words, depth - 1) for key in keys if chance.random() < share}


def _value(chance: random.Random, keys: Sequence[str], words: Sequence[Any], depth: int) -> Any:
    kind = chance.random()
    if depth <= 0 or kind < 0.5:
        return chance.choice(words) if kind < 0.35 else chance.choice(_ODD)
    if kind < 0.75:
        return [_value(chance, keys, words, depth - 1) for _ in range(chance.randrange(4))]
    return _object(chance, keys, words, depth)
