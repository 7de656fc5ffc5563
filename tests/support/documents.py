"""JSON documents for tests of contracts: values that survive a round trip, and documents with one wrong field."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from common.contracts.segments import Segment, Source, Word
from common.contracts.times import iso_utc

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ids = st.integers() | texts
numbers = st.integers(0, 4_000_000_000_000).map(lambda thousandths: thousandths / 1000)
"""With three decimals, as they are written; seconds until the year 2096, too."""
times = numbers.map(iso_utc)


WORDS = st.builds(Word, texts, numbers, numbers, numbers)
SEGMENTS = st.builds(
    Segment, texts, numbers, numbers, texts, texts, texts, st.sampled_from([None, "en", "yue"]), st.booleans(),
    times, times, st.none() | numbers, st.none() | st.lists(WORDS, max_size=3).map(tuple),
    source=st.sampled_from(Source),
)  # fmt: skip


SAID_TWICE = frozenset({"speaker_key", "confirmed", "pending", "ts"})
"""Keys that are for other readers than ours."""


def changed(document: Any) -> list[tuple[Any, str]]:
    """Copies of a document, each with one value of another type, and the key of that value.

    Args:
        document: As JSON has it, without values of null; keys `SAID_TWICE` are left as they are.
    """
    found = []
    for steps in _leaves(document, ()):
        key = next(step for step in reversed(steps) if isinstance(step, str))
        for wrong in ([{"canary": "canary"}], {"canary": 1}):
            copied = copy.deepcopy(document)
            inner = copied
            for step in steps[:-1]:
                inner = inner[step]
            inner[steps[-1]] = wrong
            found.append((copied, key))
    return found


def _leaves(value: Any, steps: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        steps_in = [key for key in value if key not in SAID_TWICE] if isinstance(value, dict) else range(len(value))
        for step in steps_in:
            yield from _leaves(value[step], (*steps, step))
    else:
        yield steps
