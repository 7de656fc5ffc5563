"""A stream whose model hears every word that is wholly in its window: whatever the schedule, each is said once."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.whisperlive.protocol import Handshake
from tests.support.servers.served import SECOND, Served, check_audio, check_segments, silence, speech
from transcriber.core.load import LADDER
from transcriber.core.transcript import DecodeJob
from transcriber.core.windows import Hypothesis, Word

WORD_S, GAP_S = 0.3, 0.2
"""Of speech, and of silence after it: less than ends an utterance, enough to be cut in."""
MIN_HEARD = SECOND // 10
"""Of a word that is not wholly in the window the model makes something else from so many samples on."""
MAX_WAITING = 40 * SECOND
"""Samples that may be undecided: more than a minute is not kept."""
VOCABULARY = ["so", "we", "no", "can", "yes", "we", "wait"]
PHRASES = st.lists(
    st.tuples(st.sampled_from([1, 2, 5, 12, 30, 50]), st.integers(0, 6), st.sampled_from([0.1, 0.5, 1.5])),
    min_size=1,
    max_size=4,
)
"""How many words, which, and the pause after them in seconds."""
STEPS = st.lists(
    st.sampled_from(["wait", "begin", "finish", "pass", "pass", "pass", "pass", "load"]), min_size=3, max_size=30
)
LEVELS = (2, 0, 3, 5, 2, 1)
"""Of load, one after the other: most of them trim windows."""


class Ideal:
    """A model that knows what was said.

    Args:
        has_heads: It can tell when words are said.
    """

    def __init__(self, has_heads: bool) -> None:
        self._has_heads = has_heads
        self.said: list[tuple[int, int, str]] = []

    def hear(self, job: DecodeJob) -> Hypothesis | None:
        """The words of a window; the last one may be half of one."""
        found = []
        for first, last, word in self.said:
            if job.first <= first and last <= job.work.end:
                found.append(Word(f" {word}", (first - job.first) / SECOND, (last - job.first) / SECOND, 0.9))
            elif first < job.work.end - MIN_HEARD and job.work.end < last:
                found.append(Word(" hm", (first - job.first) / SECOND, (job.work.end - job.first) / SECOND, 0.9))
        text = "".join(word.text for word in found)
        has_times = self._has_heads and job.window.words
        return Hypothesis(text, words=tuple(found) if has_times else ()) if text else None


@pytest.mark.timeout(90)  # under coverage, beside another
@given(st.booleans(), st.booleans(), st.booleans(), PHRASES, STEPS)
def test_each_word_is_said_once(
    explicit: bool, has_heads: bool, words: bool, phrases: list[tuple[int, int, float]], steps: list[str]
) -> None:
    """In order, through partials, trimmed windows, pauses, cuts of what is overlong, and the client's own ends."""
    served = Served(explicit, Handshake("u", language="en", word_timestamps=words))
    model, turn, level = Ideal(has_heads), itertools.cycle(steps), itertools.cycle(LEVELS)

    def decode() -> None:
        served.begin()
        assert served.job
        served.finish(model.hear(served.job))

    def step() -> None:
        while served.at - served.session.decided > MAX_WAITING:
            decode()
        what = next(turn)
        if what in ("begin", "pass"):
            served.begin()
        if what in ("finish", "pass") and served.job:
            served.finish(model.hear(served.job))
        if what == "load":
            served.session.adapt(LADDER[next(level)])
            served.poke()

    for count, first, pause in phrases:
        for n in range(count):
            word = VOCABULARY[(n * n + first) % len(VOCABULARY)]
            model.said.append((served.at, served.at + round(WORD_S * SECOND), word))
            served.hear(speech(WORD_S))
            step()
            served.hear(silence(GAP_S))
            step()
        served.hear(silence(pause))
        step()
        if explicit:
            served.end(served.at)
    served.session.end(now=served.at)
    served.poke()
    while served.job or served.due:
        decode()
    check_audio(served)
    check_segments(served.shown)
    heard = " ".join(segment.text for segment in served.shown if segment.completed)
    assert heard.split() == [word for _, _, word in model.said]
