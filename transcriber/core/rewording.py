"""Rewording: where in a pass the words end that are committed already, though it may spell or hear them differently."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from transcriber.core.words import letters

UNHEARD_LETTER_COST = 2.5
"""Of a committed letter that a pass does not have, beside one that it has in addition ("can't", "can not")."""
MAX_UNHEARD_SHARE = 0.6
"""Of the letters that differ, and of those of the last word, where the place is certain."""
_NEGATION_PATTERN = re.compile(r"n['’]t\b|^\W*n['’]|[不没沒未無]", re.IGNORECASE)
_NEGATIONS = frozenset(
    {"no", "not", "cannot", "never", "none", "nor", "nobody", "nothing"}
    | {
        "nicht",
        "nichts",
        "kein",
        "keine",
        "keinen",
        "keinem",
        "keiner",
        "nie",
        "niemand",
        "niet",
        "geen",
        "inte",
        "ikke",
    }
    | {"ne", "pas", "jamais", "rien", "non", "nunca", "jamás", "nada", "não", "mai", "не", "нет", "ни", "никогда"}
)


def end_of(wanted: Sequence[str], heard: Sequence[str]) -> tuple[int, bool]:
    """How many of the heard words are about the wanted ones, and whether that is certain.

    By letters, not words, as "cannot" may be "can not" now: where they are closest to those wanted. Where that is not
    close, as with "twenty five" and "25", a word said twice is better than one lost; misheard words without a digit are
    taken one for one. Whatever is closest, no negation is taken for something without one, nor the other way round.

    Args:
        wanted: Words as they are committed, at least one.
        heard: Words of the pass.
    """
    same = in_common([letters(text) for text in wanted], [letters(text) for text in heard])
    if same == len(wanted):
        return same, True
    wanted, heard = wanted[same:], heard[same:]
    keys, others = [letters(text) for text in wanted], [letters(text) for text in heard]
    negated = is_negated(wanted)
    ends = [k for k in range(len(heard) + 1) if is_negated(heard[:k]) == negated] or range(len(heard) + 1)
    before, costs = _letter_costs(keys, others)
    best = min(ends, key=lambda k: costs[k])
    is_close = all(
        cost < MAX_UNHEARD_SHARE * UNHEARD_LETTER_COST * length
        for cost, length in ((costs[best], len("".join(keys))), (costs[best] - before, len(keys[-1])))
    )
    if not is_close and not any(map(str.isdigit, "".join([*keys, *others[: len(keys)]]))):
        row = word_costs(keys, others)[-1]
        best = max(best, min(ends, key=lambda k: (row[k], abs(k - len(keys)))))
    return same + best, is_close


def pairs(wanted: Sequence[str], heard: Sequence[str]) -> list[tuple[int, int]]:
    """Which word is heard where, spelled the same or not: the last ones first."""
    keys, others = [letters(text) for text in wanted], [letters(text) for text in heard]
    rows = word_costs(keys, others)
    found, n, k = [], len(keys), len(others)
    while n and k:
        if rows[n][k] == rows[n - 1][k - 1] + (keys[n - 1] != others[k - 1]):
            n, k = n - 1, k - 1
            found.append((n, k))
        elif rows[n][k] == rows[n - 1][k] + 1:
            n -= 1
        else:
            k -= 1
    return found


def in_common(left: Sequence[str], right: Sequence[str]) -> int:
    """How many leading keys are the same."""
    count = 0
    while count < min(len(left), len(right)) and left[count] == right[count]:
        count += 1
    return count


def is_negated(words: Sequence[str]) -> bool:
    """Whether one of these words negates, in the languages whose negations are listed here."""
    return any(_NEGATION_PATTERN.search(word) or letters(word) in _NEGATIONS for word in words)


def _letter_costs(wanted: Sequence[str], heard: Sequence[str]) -> tuple[float, list[float]]:
    """How far the wanted letters are from those of the first k heard words, for each k; before it, without the last
    wanted word, for the best k."""
    ends = np.cumsum([0, *map(len, heard)])
    codes = np.array([ord(letter) for key in heard for letter in key], np.int64)
    places = np.arange(len(codes) + 1, dtype=np.float64)
    row, before = places, 0.0
    for key in wanted:
        before = float(row[ends].min())
        for letter in key:
            unheard = row + UNHEARD_LETTER_COST
            unheard[1:] = np.where(codes == ord(letter), np.minimum(unheard[1:], row[:-1]), unheard[1:])
            row = np.minimum.accumulate(unheard - places) + places
    return before, [float(cost) for cost in row[ends]]


def word_costs(wanted: Sequence[str], heard: Sequence[str]) -> list[list[int]]:
    """Edit distance over words, of the first n wanted and the first k heard."""
    rows = [list(range(len(heard) + 1))]
    for n, key in enumerate(wanted, 1):
        above, row = rows[-1], [n]
        for k, other in enumerate(heard, 1):
            row.append(min(above[k] + 1, row[k - 1] + 1, above[k - 1] + (other != key)))
        rows.append(row)
    return rows
