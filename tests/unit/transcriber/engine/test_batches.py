"""What is taken of an answer of CTranslate2: the likeliest text, and of a short one what else it may be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from transcriber.core.windows import Before, Reading, Window
from transcriber.engine.batches import BEAM_SIZE, BatchItem

TEXTS = ["", " 6", " six", " Six", ".", " or", " seven"]
END, ZERO = len(TEXTS), len(TEXTS) + 1
TOKENIZER: Any = SimpleNamespace(
    eot=END, timestamp_begin=ZERO, decode=lambda tokens: "".join(TEXTS[token] for token in tokens)
)
SOUND = np.zeros(16_000, np.int16)


def answer(*readings: tuple[list[int], float]) -> Any:
    """As CTranslate2 gives it: each text between time tokens."""
    return SimpleNamespace(
        sequences_ids=[[ZERO, *tokens, ZERO + 20] for tokens, _ in readings], scores=[score for _, score in readings]
    )


def item(window: Window, told: list[int] | None = None) -> BatchItem:
    """A window on its way."""
    return BatchItem(window, 0, np.zeros((80, 600), np.float32), 100, [], told or [], tokenizer=TOKENIZER)


def test_a_short_text_comes_with_what_else_it_may_be() -> None:
    """Each other text once, as likely as its likeliest form; the same with other times is no other."""
    taken = item(Window(SOUND, careful=True))
    taken.take(answer(([1], -0.9), ([2], -1.1), ([3, 4], -1.2), ([1], -1.3), ([2], -1.4)))
    heard = taken.hypothesis(0.1)
    assert (heard.text, heard.avg_logprob) == ("6", -0.9)
    assert heard.others == (Reading("six", -1.1), Reading("Six.", -1.2))


@pytest.mark.parametrize(
    ("window", "told", "tokens"),
    [
        (Window(SOUND, careful=True), [], [6, 5, 6, 5, 6]),
        (Window(SOUND, careful=True, before=Before(SOUND, "or")), [5], [1]),
        (Window(SOUND, careful=True, temperature=0.4), [], [1]),
    ],
    ids=["a long text", "what is heard with something before it", "what is drawn"],
)
def test_of_others_nobody_asks(window: Window, told: list[int], tokens: list[int]) -> None:
    """They come with nothing else."""
    taken = item(window, told)
    taken.take(answer((tokens, -0.9), ([2], -1.1)))
    assert taken.hypothesis(0.1).others == ()


def test_only_a_beam_by_itself_is_asked_for_them() -> None:
    """A greedy pass has one text, and after what was said before the best is enough."""
    found = [
        item(window, told).search.get("num_hypotheses")
        for window, told in (
            (Window(SOUND, careful=True), []),
            (Window(SOUND, careful=True), [5]),
            (Window(SOUND), []),
        )
    ]
    assert found == [BEAM_SIZE, 1, 1]
