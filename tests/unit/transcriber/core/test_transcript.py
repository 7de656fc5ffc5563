"""Results become segments: partials as they change, a final each, with what was committed in it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from common.whisperlive.protocol import SAMPLE_RATE, Handshake, WireWord
from transcriber.core.languages import StreamLanguage
from transcriber.core.policy import Pass, PassKind, PendingUtterance
from transcriber.core.transcript import DecodeJob, Transcript
from transcriber.core.windows import Hypothesis, Window, Word


def job(utterance: PendingUtterance, seconds: float = 2.0, *, base: int = 0, skipped: float = 0.0) -> DecodeJob:
    """A pass over the first seconds of it, but for those skipped."""
    first, end = (utterance.start + round(part * SAMPLE_RATE) for part in (skipped, seconds))
    samples = np.full(end - first, 8192, np.int16)
    return DecodeJob(Pass(utterance, PassKind.PARTIAL, utterance.start, end), Window(samples), first, base)


def speaking() -> tuple[Transcript, PendingUtterance]:
    """Somebody since second 1, with speech from second 1.5 on."""
    utterance = PendingUtterance(7, SAMPLE_RATE, 0.0, stretches=[(24_000, 40_000)], speech=16_000)
    return Transcript(Handshake("u"), StreamLanguage(None, locks=True)), utterance


english = partial(Hypothesis, language="en", language_probability=1.0)


def test_a_partial_says_how_much_of_it_stays() -> None:
    """With the bounds of the speech, in seconds; what has not changed is not shown again."""
    transcript, utterance = speaking()
    hypothesis = english("a b", words=(Word(" a", 0.5, 0.8, 0.9), Word(" b", 1.6, 1.9, 0.9)))
    assert job(utterance).level == 0.25
    [first] = transcript.show(job(utterance, 2.0), english("a d"))
    assert (first.stable_len, first.words) == (0, None)
    transcript.show(job(utterance, 2.5), english("a c"))
    [partial] = transcript.show(job(utterance, 3.0), hypothesis)
    assert (partial.text, partial.stable_len, partial.completed, partial.segment_id) == (" a b", 2, False, "u:7")
    assert (partial.start, partial.end) == (1.468, 2.6)
    assert partial.words == (WireWord(" a", 1.5, 1.8, 0.9), WireWord(" b", 2.58, 2.6, 0.9))
    assert transcript.show(job(utterance, 3.5), hypothesis) == []
    assert transcript.show(job(utterance, 4.0), hypothesis) != []  # three agree on the second word now
    assert transcript.show(job(utterance, 4.5), hypothesis) == []
    assert transcript.show(job(utterance, 5.0), None) == []
    assert transcript.committed_until(utterance) == round(2.9 * SAMPLE_RATE)
    transcript.show(job(utterance, 5.5), replace(hypothesis, text="a b c"))
    for seconds in (6.0, 6.5):
        transcript.show(job(utterance, seconds), replace(hypothesis, text="a b c"))
    assert transcript.trim(utterance) == (1, round(2.5 * SAMPLE_RATE))
    [more] = transcript.show(job(utterance, 7.0, base=1, skipped=1.5), english("b c d"))
    assert (more.text, more.words) == (" a b c d", None)


def test_words_of_two_passes_do_not_overlap() -> None:
    """The end of a committed word gives way to the beginning of the next."""
    transcript, utterance = speaking()
    utterance.end = 48_000
    for seconds in (2.0, 2.5, 3.0):
        transcript.show(job(utterance, seconds), english("a", words=(Word(" a", 0.5, 0.9, 0.9),)))
    again = english("the b", words=(Word(" the", 0.5, 0.9, 0.9), Word(" b", 0.88, 1.2, 0.9)))
    [final] = transcript.conclude(job(utterance), again)
    assert final.words == (WireWord(" a", 1.5, 1.88, 0.9), WireWord(" b", 1.88, 2.2, 0.9))


def test_a_partial_without_words_is_none() -> None:
    """The model heard nothing."""
    transcript, utterance = speaking()
    assert transcript.show(job(utterance), english("")) == []


def test_a_final_is_what_was_kept_or_what_its_own_pass_gave() -> None:
    """Each utterance has one, and the language is heard with it."""
    transcript, utterance = speaking()
    utterance.end = 48_000
    transcript.show(job(utterance), Hypothesis("hello", language="de", language_probability=0.9), keep=True)
    [final] = transcript.settle(utterance)
    assert (final.text, final.completed, final.stable_len, final.language, final.end) == (
        " hello",
        True,
        None,
        "de",
        2.6,
    )
    assert transcript.settle(utterance) == []
    [own] = transcript.conclude(job(utterance), english("again"))
    assert own.text == " again"
    assert transcript.conclude(job(utterance), None) == []
    assert not transcript.detected
    utterance.speech *= 3
    transcript.conclude(job(utterance), Hypothesis("ja", language="de", language_probability=0.9))
    assert transcript.detected == ("de", pytest.approx(0.9, abs=0.3))


def test_passes_around_one_that_heard_nothing_are_not_in_a_row() -> None:
    """Three that agree have to follow each other."""
    transcript, utterance = speaking()
    for n, text in enumerate(("hm", "hm", None, "hm", "hm", "hm"), 1):
        heard = Hypothesis(text, language="en", language_probability=0.95) if text else None
        transcript.show(job(utterance, 1 + n / 2), heard)
        assert (transcript.committed_until(utterance) > utterance.start) == (n == 6)


def test_what_is_doubtful_is_no_context_for_what_follows() -> None:
    """A loop that was cut, or text that nobody believes, is shown as that; nothing is heard together with it."""
    transcript, utterance = speaking()
    utterance.end = 48_000
    for is_doubtful in (False, True):
        [final] = transcript.conclude(job(utterance), Hypothesis("we must no", language="en", is_doubtful=is_doubtful))
        assert (final.text, final.doubtful) == (" we must no", is_doubtful)
        assert (transcript.before is None) == is_doubtful


def test_nothing_understood_in_a_pause_leaves_what_was_committed() -> None:
    """And what was not certain is gone."""
    transcript, utterance = speaking()
    hypothesis = english("a b", words=(Word(" a", 0.0, 0.4, 0.9), Word(" b", 1.6, 1.9, 0.9)))
    for seconds, text in ((1.0, "a c"), (1.5, "a d")):
        transcript.show(job(utterance, seconds), english(text))
    transcript.show(job(utterance, 2.0), hypothesis)
    assert transcript.show(job(utterance), None, keep=True) == []
    [final] = transcript.settle(utterance)
    assert final.text == " a"


def test_what_a_pause_gave_is_no_final_any_more_once_more_was_said() -> None:
    """If the engine then fails: what was committed since may be other words."""
    transcript, utterance = speaking()
    transcript.show(job(utterance), english("hello word"), keep=True)
    for seconds in (2.5, 3.0, 3.5):
        transcript.show(job(utterance, seconds), english("hello world how"))
    [final] = transcript.settle(utterance)
    assert final.text == " hello world how"


def test_nothing_is_committed_in_a_language_that_may_be_wrong() -> None:
    """Partials in it are shown; once words are committed, the rest of the utterance is in their language."""
    transcript, utterance = speaking()
    utterance.end = 48_000
    wrong = Hypothesis("a b", language="ko", language_probability=0.6)
    for seconds in (1.0, 1.5):
        transcript.show(job(utterance, seconds), wrong)
    assert (transcript.committed_until(utterance), transcript.language(utterance)) == (utterance.start, None)
    for seconds in (2.5, 3.0, 3.5):
        transcript.show(job(utterance, seconds), Hypothesis("c d", language="ja", language_probability=0.7))
    assert transcript.language(utterance) == "ja"
    [final] = transcript.conclude(job(utterance, 4.0), Hypothesis("c d e", language="ja"))
    assert (final.text, final.language) == (" c d e", "ja")
    assert transcript.language(utterance) is None
    utterance.speech *= 9
    for seconds in (2.5, 3.0, 3.5):
        transcript.show(job(utterance, seconds), Hypothesis("c d", language="ja", language_probability=0.7))
    transcript.settle(utterance)
    language, probability = transcript.detected or ("", 0.0)
    assert (language, round(probability, 1)) == ("ja", 0.7)  # not 1.0, that of passes told the language


def test_the_language_of_an_utterance_is_likely_by_its_own_passes_or_what_was_spoken_before() -> None:
    """The stream's where nothing was heard yet; none where its passes are in doubt."""
    _, utterance = speaking()
    transcript = Transcript(Handshake("u"), StreamLanguage(None, locks=False))
    assert transcript.likely_language(utterance) is None
    utterance.speech *= 9
    transcript.conclude(job(utterance), Hypothesis("ja", language="de"))
    assert transcript.likely_language(utterance) == "de"
    for language, probability, likely in (("de", 0.3, None), ("ru", 0.8, "ru")):
        transcript.show(job(utterance, 1.0), Hypothesis("a", language=language, language_probability=probability))
        assert transcript.likely_language(utterance) == likely


def test_a_translation_is_its_last_pass() -> None:
    """Passes may begin alike and the last one not: the rest of a sentence decides how it begins in English."""
    transcript, utterance = speaking()
    for said in ("where we take", "where we take the", "where we take it", "where we are going to"):
        work = job(utterance)
        work = replace(work, window=replace(work.window, language="es", task="translate"))
        [partial] = transcript.show(work, Hypothesis(said, language="es"))
        assert (partial.text, partial.stable_len) == (f" {said}", 0)
    utterance.end = 48_000
    [final] = transcript.conclude(work, Hypothesis("where are we going", language="es"))
    assert (final.text, final.language) == (" where are we going", "es")


def test_an_utterance_can_be_forgotten() -> None:
    """Cut where words were committed."""
    transcript, utterance = speaking()
    transcript.show(job(utterance), english("a", words=(Word(" a", 0.0, 0.4, 0.9),)))
    transcript.forget(utterance)
    assert transcript.committed_until(utterance) == utterance.start
    assert transcript.settle(utterance) == []


def test_what_was_said_in_no_known_language_is_not_joined_with_what_follows() -> None:
    """Nobody knows that it is the same one; its segment names none, and nothing is committed before."""
    transcript, utterance = speaking()
    for seconds in (1.5, 2.0, 2.5, 3.0):
        shown = transcript.show(job(utterance, seconds), Hypothesis("a b"))
        assert all((segment.stable_len, segment.language) == (0, None) for segment in shown)
    [final] = transcript.conclude(job(utterance, 3.0), Hypothesis("a b"))
    assert (final.text.strip(), final.language, transcript.before, transcript.detected) == ("a b", None, None, None)
