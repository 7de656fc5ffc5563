"""Whether to believe what a model said about a window, and what it left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from transcriber.core.filters import Verdict
from transcriber.core.guards import (
    MIN_MISSED_SAMPLES,
    MIN_PROGRESS_S,
    agreed,
    best_of,
    is_missed,
    is_stopped,
    left_out,
    unlooped,
    verdict_of,
)
from transcriber.core.packing import PackedWindow
from transcriber.core.windows import Hypothesis, Phrase, Reading, Window

SECOND = 16_000
PART = PackedWindow(((SECOND, 5 * SECOND), (7 * SECOND, 9 * SECOND)), ((0, 10 * SECOND),))
BEFORE, AFTER = PART.split(5.0)
WINDOW = Window(np.zeros(10 * SECOND, np.int16), prompt="Ana Silva and Kubernetes")


def heard(*phrases: tuple[str, float, float | None], tokens: int = 8, **more: float) -> Hypothesis:
    """A result with these phrases."""
    text = "".join(text for text, *_ in phrases)
    return Hypothesis(text, tokens=tokens, phrases=tuple(Phrase(*phrase) for phrase in phrases), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        (heard((" We are here.", 0.0, 9.0)), Verdict.KEEP),
        (heard((" No.", 0.0, 9.0), avg_logprob=-1.2), Verdict.KEEP),
        (heard((" No.", 0.0, 9.0), avg_logprob=-1.2, no_speech=0.9), Verdict.NO_SPEECH),
        (heard((" hm" * 20, 0.0, None), tokens=60), Verdict.LOOP),
        (heard((" Ana Silva and Kubernetes.", 0.0, 9.0)), Verdict.PROMPT),
        (heard(), Verdict.EMPTY),
        (None, Verdict.EMPTY),
    ],
)
def test_verdicts(result: Hypothesis | None, verdict: Verdict) -> None:
    """A short answer that is a little improbable is one; there is no floor of speech for it."""
    assert verdict_of(WINDOW, result) is verdict


def test_nothing_in_much_speech_is_missed() -> None:
    """What was heard is not, nor is little speech."""
    missed = [(Verdict.EMPTY, MIN_MISSED_SAMPLES), (Verdict.EMPTY, MIN_MISSED_SAMPLES - 1), (Verdict.KEEP, 10**6)]
    assert [is_missed(*each) for each in missed] == [True, False, False]


UNLIKELY, LESS_LIKELY = (Hypothesis("we must decide", avg_logprob=p) for p in (-1.7, -2.0))
LOOP = Hypothesis("we must " + "no " * 9, avg_logprob=-3.0)


@pytest.mark.parametrize(
    ("tries", "seconds", "kept"),
    [
        ([(Verdict.LOOP, LOOP), (Verdict.EMPTY, Hypothesis(""))], 1.0, "we must no"),
        ([(Verdict.LOOP, LOOP), (Verdict.UNLIKELY, UNLIKELY)], 4.0, "we must no"),
        ([(Verdict.LOOP, UNLIKELY), (Verdict.LOOP, LOOP)], 4.0, "we must no"),
        ([(Verdict.LOOP, LOOP), (Verdict.EMPTY, Hypothesis(""))], 0.9, None),
        ([(Verdict.UNLIKELY, UNLIKELY), (Verdict.UNLIKELY, LESS_LIKELY)], 2.0, "we must decide"),
        ([(Verdict.TOO_FAST, LESS_LIKELY), (Verdict.UNLIKELY, UNLIKELY)], 2.0, "we must decide"),
        ([(Verdict.UNLIKELY, UNLIKELY), (Verdict.UNLIKELY, UNLIKELY)], 1.9, None),
        ([(Verdict.PROMPT, UNLIKELY), (Verdict.NO_SPEECH, UNLIKELY)], 9.0, None),
    ],
)
def test_the_best_of_two_tries_that_went_astray_is_kept(
    tries: list[tuple[Verdict, Hypothesis]], seconds: float, kept: str | None
) -> None:
    """Where enough was certainly said; of loops the last, without its repeats. It is marked."""
    best = best_of(tries, round(seconds * SECOND))
    assert (best and best[1].text) == kept
    assert best is None or best[1].is_doubtful


def test_speech_after_the_last_time_token_is_left_out() -> None:
    """It is decoded again; the result stays as it is, and is about what is before."""
    result = heard((" One.", 1.0, 3.0), (" Two.", 3.0, 5.0))
    assert left_out(PART, result) == (BEFORE, result, AFTER)
    assert (BEFORE.pieces[-1][1], AFTER.speech) == (5 * SECOND, ((7 * SECOND, 9 * SECOND),))


def test_a_last_phrase_without_an_end_is_decoded_again() -> None:
    """From its start on."""
    result = heard((" One.", 1.0, 5.0), (" Two", 5.0, None))
    assert left_out(PART, result) == (BEFORE, replace(result, phrases=result.phrases[:1]), AFTER)


@pytest.mark.parametrize(
    "result",
    [
        heard((" One.", 1.0, 8.5)),
        heard((" One", 1.0, None)),
        heard((" So this is all that was said in ten seconds.", 0.0, 0.0)),
        heard((" One.", 0.0, 8.2), (" Two", 8.2, None)),
        Hypothesis("One."),
    ],
)
def test_nothing_is_left_out(result: Hypothesis) -> None:
    """Little speech follows; or nobody knows where."""
    assert left_out(PART, result) == (PART, result, None)


@pytest.mark.parametrize("until", [0.0, 0.1, 0.98, 1.02])
def test_a_pass_that_hardly_began_is_followed_by_another(until: float) -> None:
    """However early the model stopped, the speech after that is decoded; each pass is shorter, so that they end."""
    for result in (heard((" Yes.", 0.0, until)), heard((" Yes.", 0.0, until), (" Two", until, None))):
        _, told, rest = left_out(PART, result)
        assert told.phrases == result.phrases[:1]
        assert rest == PART.split(max(until, MIN_PROGRESS_S))[1]
        assert rest.spoken == PART.spoken - max(0, round(until * SECOND) - SECOND)


def test_a_decoder_that_was_stopped_in_its_first_phrase() -> None:
    """Said nothing about where it was."""
    assert is_stopped(heard((" la" * 210, 0.0, None), tokens=210))
    assert not is_stopped(heard((" la", 0.0, None), tokens=20))
    assert not is_stopped(heard((" la", 0.0, 9.0), tokens=210))
    assert not is_stopped(heard((" la", 0.0, 2.0), (" la", 2.0, None), tokens=210))


def test_of_a_loop_one_repeat_is_kept() -> None:
    """In each phrase."""
    result = unlooped(heard((" Well, yes, yes, yes.", 0.0, 2.0), (" So it is. So it is. So it is.", 2.0, None)))
    assert [phrase.text for phrase in result.phrases] == ["Well, yes,", "So it is."]
    assert result.text == "Well, yes, So it is."


@pytest.mark.parametrize(
    ("first", "second", "is_believed"),
    [
        (
            heard((" Six.", 0.0, 0.4), avg_logprob=-1.31, no_speech=0.02),
            heard(("six", 0.0, 0.4), avg_logprob=-1.0),
            True,
        ),
        (heard((" Six.", 0.0, 0.4), avg_logprob=-1.0), heard((" Sick.", 0.0, 0.4)), False),
        (heard((" …", 0.0, 0.4), avg_logprob=-1.0), heard((" …", 0.0, 0.4)), False),
        (heard((" Six.", 0.0, 0.4), avg_logprob=-1.0), heard(("six", 0.0, 0.4), no_speech=0.5), False),
        (heard((" Six.", 0.0, 0.4), avg_logprob=-1.7), heard(("six", 0.0, 0.4)), False),
        (heard((" Six.", 0.0, 0.4), avg_logprob=-1.2), heard((" Six.", 0.0, 0.4), avg_logprob=-1.2), False),
    ],
    ids=["the same", "another word", "no word", "no speech", "too unlikely", "one hearing"],
)
def test_two_hearings_of_the_same_words_are_believed(first: Hypothesis, second: Hypothesis, is_believed: bool) -> None:
    """Where the model took both for speech, and neither is quite incredible."""
    assert agreed(first, second) is agreed(second, first) is is_believed


@pytest.mark.parametrize(
    ("together", "alone", "others", "is_believed"),
    [
        (" Six.", "6", (("six", -1.15), ("Six.", -1.21)), True),
        ("6.", "six", (("Six.", -1.2), ("6", -1.0)), True),
        (" Sick.", "6", (("six", -1.15),), False),
        (" Six.", "6", (("six", -1.7),), False),
        (" Six.", "6", (), False),
        (" Six.", "Sick.", (("six", -1.15),), False),
        ("7", "6", (("7", -1.15),), False),
    ],
    ids=["in words", "in digits", "another word", "too unlikely", "nothing else", "no number", "another number"],
)
def test_a_number_has_two_spellings(
    together: str, alone: str, others: tuple[tuple[str, float], ...], is_believed: bool
) -> None:
    """The model says whether its digits are the words of the other hearing; any other word is heard as it is."""
    first = heard((together, 0.0, 0.4), avg_logprob=-1.36, no_speech=0.02)
    second = replace(
        heard((alone, 0.0, 0.4), avg_logprob=-1.01, no_speech=0.3), others=tuple(Reading(*each) for each in others)
    )
    assert agreed(first, second) is is_believed
