"""What is not speech is told from what is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcriber.core.filters import Verdict, compression, judge


def verdict(text: str, **other: float | str | None) -> Verdict:
    """Judges a text of ordinary speed and likelihood."""
    usual = {"seconds": 3.0, "tokens": 8, "avg_logprob": -0.3, "no_speech": 0.1, "prompt": None}
    return judge(text, **{**usual, **other})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "other", "expected"),
    [
        (" Yes.", {}, Verdict.KEEP),
        (" no no no no", {}, Verdict.KEEP),
        (" one two three", {"no_speech": 0.9}, Verdict.KEEP),
        (" one two three", {"avg_logprob": -1.2}, Verdict.KEEP),
        (" ... ", {}, Verdict.EMPTY),
        (" Thank you.", {"no_speech": 0.9, "avg_logprob": -1.2}, Verdict.NO_SPEECH),
        (" Ana, Ben!", {"prompt": "ana ben"}, Verdict.PROMPT),
        (" Ana spoke", {"prompt": "ana ben"}, Verdict.KEEP),
        (" you" * 8, {}, Verdict.LOOP),
        (" well" + " see you then" * 3, {}, Verdict.LOOP),
        (" abcdefgh" + "ha" * 60, {}, Verdict.LOOP),
        (" one two three", {"tokens": 41}, Verdict.TOO_FAST),
        (" one two three", {"avg_logprob": -3.0}, Verdict.UNLIKELY),
    ],
)
def test_verdicts(text: str, other: dict[str, float | str], expected: Verdict) -> None:
    """Each rule, and speech that comes close to it."""
    assert verdict(text, **other) is expected


def test_anomalies_are_worth_a_second_try() -> None:
    """A decoder that went astray may do better with the full window; silence stays silence."""
    assert {v for v in Verdict if v.is_anomaly} == {Verdict.LOOP, Verdict.TOO_FAST, Verdict.UNLIKELY}


@given(st.text())
def test_any_text_gets_a_verdict(text: str) -> None:
    """Also one that cannot be encoded."""
    assert verdict(text) in Verdict
    assert compression(text) >= 0
