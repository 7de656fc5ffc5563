"""Languages: decided on enough speech, within the allow-list, and not left for a single word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcriber.core.languages import (
    MIN_LANGUAGE_SHARE,
    MIN_SPEECH_S,
    UNTOLD_LANGUAGE_SHARE,
    StreamLanguage,
    choose_language,
)

ANY: frozenset[str] = frozenset()
GERMAN = {"de": 0.5, "en": 0.125, "nl": 0.375}
CODES = st.sampled_from(["de", "en", "fr", "nl"])
SHARES = st.floats(0, 1)


def test_the_likeliest_language_is_taken() -> None:
    """Without a prior also on little speech: something has to be decoded."""
    assert choose_language(GERMAN, prior=None, allowed=ANY, seconds=0.4) == ("de", 0.5)


def test_only_allowed_languages_are_found() -> None:
    """Their probabilities are shares of what is allowed."""
    assert choose_language(GERMAN, prior=None, allowed=frozenset({"en", "nl", "xx"}), seconds=5) == ("nl", 0.75)
    assert choose_language(GERMAN, prior="de", allowed=frozenset({"en"}), seconds=1) == ("en", 1.0)


def test_an_allow_list_that_the_model_does_not_know_forbids_nothing() -> None:
    """Text in some language is better than none."""
    assert choose_language(GERMAN, prior=None, allowed=frozenset({"xx"}), seconds=5)[0] == "de"


@pytest.mark.parametrize(
    ("probabilities", "seconds", "language"),
    [
        ({"de": 0.9, "en": 0.1}, MIN_SPEECH_S, "de"),
        ({"de": 0.9, "en": 0.1}, MIN_SPEECH_S - 0.1, "en"),
        ({"de": 0.7, "en": 0.3}, 10, "en"),
        ({"de": 0.4, "en": 0.05, "nl": 0.3, "fr": 0.25}, 10, "en"),
        ({"de": 0.95, "en": 0.05}, 0.7, "de"),
        ({"de": 0.9, "nl": 0.1}, 0.5, "de"),
    ],
    ids=["clear", "too short", "not clear", "not confident", "sure", "prior unknown to the model"],
)
def test_the_language_spoken_so_far_stays_unless_another_is_clear(
    probabilities: dict[str, float], seconds: float, language: str
) -> None:
    """A name or a borrowed word is not a switch; a sentence is."""
    found, probability = choose_language(probabilities, prior="en", allowed=ANY, seconds=seconds)
    assert found == language
    assert probability == pytest.approx(probabilities[language])


def test_no_evidence_at_all_still_gives_a_language() -> None:
    """All zeros: the prior if there is one, and a fair share as its probability."""
    nothing = {"de": 0.0, "en": 0.0}
    assert choose_language(nothing, prior="en", allowed=ANY, seconds=5) == ("en", 0.5)
    assert choose_language(nothing, prior=None, allowed=ANY, seconds=5)[1] == 0.5


@given(st.dictionaries(CODES, SHARES, min_size=1), st.none() | CODES, st.frozensets(CODES), st.floats(0, 30))
def test_the_choice_is_one_that_was_found_and_allowed(
    probabilities: dict[str, float], prior: str | None, allowed: frozenset[str], seconds: float
) -> None:
    """And its probability is one."""
    language, probability = choose_language(probabilities, prior=prior, allowed=allowed, seconds=seconds)
    assert language in (allowed & probabilities.keys() or probabilities)
    assert 0 <= probability <= 1


def test_what_the_client_says_is_never_questioned() -> None:
    """Nothing to detect, nothing to announce."""
    languages = StreamLanguage("en", locks=False)
    assert languages.hear("de", 1.0, 10) is None
    assert (languages.fixed, languages.prior, languages.allowed) == ("en", None, ANY)


def test_a_language_is_decided_on_enough_speech() -> None:
    """Short utterances add up; until then each one is heard without prejudice, and afterwards nothing is announced."""
    languages = StreamLanguage(None, locks=False)
    assert languages.hear("de", 1.0, 1.0) is None
    assert languages.hear("en", 0.8, 0.5) is None
    assert (languages.fixed, languages.prior) == (None, None)
    assert languages.hear("de", 1.0, 1.0) == ("de", 0.8)
    assert (languages.fixed, languages.prior) == (None, "de")
    assert languages.hear("en", 0.95, 1.0) is None
    assert (languages.fixed, languages.prior) == (None, "de")
    assert languages.hear("en", 0.9, 4.0) is None
    assert (languages.fixed, languages.prior) == (None, "en")


def test_doubt_is_not_a_decision() -> None:
    """However long it lasts."""
    languages = StreamLanguage(None, locks=True)
    for _ in range(20):
        assert languages.hear("de", 0.4, 3.0) is None
    assert (languages.fixed, languages.prior) == (None, None)
    while (decided := languages.hear("en", 1.0, 3.0)) is None:
        pass
    assert decided[0] == "en"
    assert MIN_LANGUAGE_SHARE < decided[1] < 0.6


def test_for_stock_clients_the_decision_stays() -> None:
    """They are told one language once: on more speech, where it is less than sure."""
    doubtful = StreamLanguage(None, locks=True)
    assert doubtful.hear("el", 0.8, MIN_SPEECH_S) is None
    assert doubtful.hear("es", 0.7, 2 * MIN_SPEECH_S) is None
    assert doubtful.hear("es", 0.8, 5 * MIN_SPEECH_S) is not None
    assert doubtful.fixed == "es"
    languages = StreamLanguage(None, locks=True)
    assert languages.hear("de", 1.0, 3.0) == ("de", 1.0)
    assert languages.hear("en", 1.0, 30.0) is None
    assert languages.fixed == "de"


def test_a_language_is_sure_on_enough_speech_or_by_much() -> None:
    """Or when it is the stream's and likely, or the only one."""
    languages = StreamLanguage(None, locks=False)
    assert languages.is_sure("de", 0.95, 0.7)
    assert not languages.is_sure("de", 0.8, 2.0)
    assert languages.is_sure("de", 0.6, MIN_SPEECH_S)
    assert not languages.is_sure("de", 0.5, 9.0)
    languages.hear("de", 1.0, MIN_SPEECH_S)
    assert languages.is_sure("de", 0.6, 0.7)
    assert not languages.is_sure("en", 0.6, 0.7)
    assert StreamLanguage(None, frozenset({"de"}), locks=False).is_sure("de", 0.1, 0.3)


def test_one_allowed_language_needs_no_evidence() -> None:
    """The first utterance decides."""
    languages = StreamLanguage(None, frozenset({"de"}), locks=True)
    assert languages.hear("de", 0.1, 0.3) == ("de", 1.0)


@given(st.booleans(), st.lists(st.tuples(CODES, SHARES, st.floats(0, 30)), max_size=30))
def test_a_decision_is_announced_at_most_once(locks: bool, heard: list[tuple[str, float, float]]) -> None:
    """And a locked one never changes."""
    languages = StreamLanguage(None, locks=locks)
    decisions = [decision for utterance in heard if (decision := languages.hear(*utterance))]
    assert len(decisions) <= 1
    for language, probability in decisions:
        assert MIN_LANGUAGE_SHARE < probability <= 1
        assert languages.fixed == (language if locks else None)
    assert (languages.prior is not None) == bool(decisions)


def test_an_unknown_language_is_never_sure_and_no_evidence() -> None:
    """However much is said in it, and whatever was spoken before."""
    languages = StreamLanguage(None, locks=True)
    assert not languages.is_sure(None, 1.0, 30)
    assert languages.hear(None, 1.0, 30) is None
    assert languages.hear("de", 1.0, MIN_SPEECH_S) == ("de", 1.0)
    assert not languages.is_sure(None, 1.0, 30)


def test_a_language_without_a_probability_takes_some_speech() -> None:
    """An engine that names one and does not say how sure it is may be wrong about a word."""
    languages = StreamLanguage(None, locks=False)
    assert not languages.is_sure("de", UNTOLD_LANGUAGE_SHARE, MIN_SPEECH_S - 0.1)
    assert languages.is_sure("de", UNTOLD_LANGUAGE_SHARE, MIN_SPEECH_S)
