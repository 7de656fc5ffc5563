"""Which results of the engine are not speech: loops, made-up text on noise, impossible speed, echoes of the prompt."""

from __future__ import annotations

import itertools
import re
import zlib
from enum import Enum

MAX_COMPRESSION = 2.4
"""Text that compresses better repeats itself (Whisper's own threshold)."""
MAX_TOKENS_PER_SECOND = 10.0
FREE_TOKENS = 10
"""Nobody says more than this many tokens plus the rate above."""
NO_SPEECH = 0.6
LOW_LOGPROB = -1.0
"""Not speech where the model says so and does not believe its text either; each alone drops real speech."""
HOPELESS_LOGPROB = -2.5
LONGEST_RUN = 8
"""The same word this often in a row is a loop."""


class Verdict(Enum):
    """What a result is worth."""

    KEEP = "keep"
    EMPTY = "empty"
    NO_SPEECH = "no speech"
    PROMPT = "prompt"
    LOOP = "loop"
    TOO_FAST = "too fast"
    UNLIKELY = "unlikely"

    @property
    def is_anomaly(self) -> bool:
        """The decoder went astray: worth one more try with a full window."""
        return self in (Verdict.LOOP, Verdict.TOO_FAST, Verdict.UNLIKELY)


def judge(
    text: str, *, seconds: float, tokens: int, avg_logprob: float, no_speech: float, prompt: str | None
) -> Verdict:
    """Judges one result: its text, the length of the audio, token count, mean log probability per token,
    probability of no speech, and the prompt it was given."""
    words = re.findall(r"\w+", text.lower())
    if not words:
        return Verdict.EMPTY
    if no_speech > NO_SPEECH and avg_logprob < LOW_LOGPROB:
        return Verdict.NO_SPEECH
    if prompt and words == re.findall(r"\w+", prompt.lower()):
        return Verdict.PROMPT
    if _loops(words) or compression(text) > MAX_COMPRESSION:
        return Verdict.LOOP
    if tokens > MAX_TOKENS_PER_SECOND * seconds + FREE_TOKENS:
        return Verdict.TOO_FAST
    return Verdict.UNLIKELY if avg_logprob < HOPELESS_LOGPROB else Verdict.KEEP


def compression(text: str) -> float:
    """How many times smaller the text gets."""
    data = text.encode("utf-8", "replace")
    return len(data) / len(zlib.compress(data))


def _loops(words: list[str]) -> bool:
    """One word eight times in a row, or a phrase of 3 to 8 words three times at the end."""
    run = 1
    for before, word in itertools.pairwise(words):
        run = run + 1 if word == before else 1
        if run >= LONGEST_RUN:
            return True
    return any(len(words) >= 3 * n and words[-n:] == words[-2 * n : -n] == words[-3 * n : -2 * n] for n in range(3, 9))
