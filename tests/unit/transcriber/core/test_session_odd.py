"""A stream whose model answers anything: other languages, times that cannot be, nothing, loops, negations."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.whisperlive.protocol import Handshake
from tests.support.servers.served import (
    HELLO,
    Served,
    check_acknowledged,
    check_audio,
    check_segments,
    murmur,
    silence,
    speech,
)
from transcriber.core.load import LADDER
from transcriber.core.windows import Hypothesis, Word

SENTENCE = ["we", "can", "not", "wait", "twenty", "five", "years"]
ODD_WORDS = ["so", "no", "can't", "cannot", "25", "twenty", "日", "今日", "-", "?", "ไม่", "nicht"]
TEXTS = st.one_of(
    st.integers(1, len(SENTENCE)).map(lambda count: " ".join(SENTENCE[:count])),
    st.lists(st.sampled_from([*SENTENCE, *ODD_WORDS]), max_size=8).map(" ".join),
    st.sampled_from(["no " * 30, "", " ", "…"]),
)
TIMES = st.tuples(st.floats(-5, 40), st.floats(-5, 40))


@st.composite
def hypotheses(draw: st.DrawFn) -> Hypothesis:
    """Anything that gets past `flaw_of`: with a word time for each word, for some, or in no order."""
    text = draw(TEXTS)
    found = text.split()
    words: tuple[Word, ...] = ()
    match draw(st.sampled_from(["none", "even", "odd"])):
        case "even":
            words = tuple(Word(f" {word}", n * 0.3, n * 0.3 + 0.25, 0.9) for n, word in enumerate(found))
        case "odd":
            spans = draw(st.lists(TIMES, max_size=len(found)))
            words = tuple(Word(f" {word}", *time, 0.5) for word, time in zip(found, spans, strict=False))
    return Hypothesis(
        text,
        language=draw(st.sampled_from(["en", "en", "en", "de", "ja"])),
        language_probability=draw(st.sampled_from([0.3, 0.6, 0.95, 0.95])),
        words=words,
        is_doubtful=draw(st.booleans()),
    )


CLIENTS = [
    HELLO,
    Handshake("u"),
    Handshake("u", word_timestamps=True),
    Handshake("u", allowed_languages=frozenset({"en", "de"})),
    Handshake("u", language="es", task="translate"),
]
GRANTED = [frozenset[str](), frozenset({"segment_language"})]
SOUNDS = {"speech": speech, "murmur": murmur, "silence": silence}
STEPS = st.lists(
    st.tuples(
        st.sampled_from([*SOUNDS, "speech", "end", "load", "pass", "pass", "begin", "finish", "fail"]),
        st.sampled_from([2, 5, 9, 20, 60, 160]),
        st.none() | hypotheses(),
    ),
    min_size=12,
    max_size=50,
)


@pytest.mark.timeout(90)  # under coverage, beside another
@given(st.booleans(), st.sampled_from(CLIENTS), st.sampled_from(GRANTED), STEPS)
def test_whatever_a_model_answers_words_stay_and_everything_is_decided_once(
    explicit: bool, hello: Handshake, granted: frozenset[str], steps: list[tuple[str, int, Hypothesis | None]]
) -> None:
    """Committed words stay, words are in order and inside their segment, nothing is acknowledged that was not heard or
    is finalised twice."""
    served, decided = Served(explicit, hello, granted), 0
    for what, amount, answer in steps:
        heard = answer and (replace(answer, language=hello.language) if hello.language else answer)
        if what in ("begin", "pass"):
            served.begin()
        if what in ("finish", "pass", "fail"):
            served.finish(heard, failed=what == "fail")
        elif what == "load":
            served.session.adapt(LADDER[amount % len(LADDER)])
            served.poke()
        elif what == "end" and explicit:
            served.end(max(decided, served.at - amount % 20 * 1000))
        elif what in SOUNDS:
            served.hear(SOUNDS[what](amount / 20))
        assert decided <= served.session.decided <= served.at
        decided = served.session.decided
        check_acknowledged(served)
    served.drain()
    assert served.session.is_settled
    check_audio(served)
    check_segments(served.shown, served.cut_short)
