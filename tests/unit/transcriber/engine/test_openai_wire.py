"""OpenAI's API on the wire: forms, and what is made of the answers of servers that tell more or less."""

from __future__ import annotations

import io
import json
import math
import wave
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.languages import LANGUAGE_NAMES
from transcriber.core.agreement import LocalAgreement, units
from transcriber.core.windows import Hypothesis, Phrase, Window, Word
from transcriber.engine.openai_wire import (
    MAX_TEXT_CHARACTERS,
    MIN_AUDIO_SAMPLES,
    Detail,
    PassingError,
    RejectedError,
    UnusableError,
    error_of,
    form,
    hold_of,
    hypothesis,
    message_of,
)

SECOND = 16_000
WINDOW = Window(np.arange(2 * SECOND, dtype=np.int16), words=True)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def answered(asked: str | None = None, window: Window = WINDOW, **answer: Any) -> Hypothesis:
    """What is made of an answer to who asked for a language."""
    return hypothesis(json.dumps(answer).encode(), window, asked)


def test_a_call_carries_the_window_as_a_file() -> None:
    """16 kHz mono, 16 bits, sample by sample; the model, and the most that the server can tell."""
    sent = form(WINDOW, "large-v3", "de", Detail.WORDS)
    assert sent["data"] == {
        "model": "large-v3", "temperature": "0", "response_format": "verbose_json", "language": "de",
        "timestamp_granularities[]": ["word", "segment"],
    }  # fmt: skip
    _, data, media_type = sent["files"]["file"]
    assert media_type == "audio/wav"
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SECOND, 1, 2)
        assert np.array_equal(np.frombuffer(file.readframes(SECOND * 9), "<i2"), WINDOW.samples)


def test_a_short_word_is_sent_with_silence_after_it() -> None:
    """OpenAI takes no file under 0.1 s."""
    sent = form(Window(WINDOW.samples[:1300]), "m", None, Detail.TEXT)["files"]["file"][1]
    with wave.open(io.BytesIO(sent)) as file:
        samples = np.frombuffer(file.readframes(SECOND), "<i2")
    assert len(samples) == MIN_AUDIO_SAMPLES
    assert np.array_equal(samples[:1300], WINDOW.samples[:1300])
    assert not samples[1300:].any()


def test_a_call_asks_for_no_more_than_is_wanted_and_known() -> None:
    """Word times cost; a server that has no sentences is asked for text; a text that went astray is asked anew."""
    plain = Window(WINDOW.samples, prompt="Ana, Ben", full=True)
    assert form(plain, "m", None, Detail.WORDS)["data"] == {
        "model": "m", "temperature": "0.4", "response_format": "verbose_json", "prompt": "Ana, Ben",
    }  # fmt: skip
    assert "timestamp_granularities[]" not in form(WINDOW, "m", None, Detail.SEGMENTS)["data"]
    assert form(WINDOW, "m", None, Detail.TEXT)["data"]["response_format"] == "json"
    translation = form(Window(WINDOW.samples, task="translate", words=True), "m", "de", Detail.WORDS)["data"]
    assert not {"language", "timestamp_granularities[]"} & translation.keys()


def test_all_that_a_server_tells_is_taken() -> None:
    """Sentences weigh by their length; the language comes as a code or by its name."""
    segments = [
        {"text": "Yes.", "avg_logprob": -0.9, "no_speech_prob": 0.5, "tokens": [1, 2]},
        {"text": "And so on, and so forth", "avg_logprob": -0.1, "no_speech_prob": 0.1, "tokens": [3, 4, 5]},
    ]
    heard = answered(text=" Yes. And so on, and so forth ", language="german", segments=segments)
    assert (heard.text, heard.language, heard.language_probability) == ("Yes. And so on, and so forth", "de", 0.9)
    assert heard.tokens == 5
    assert heard.avg_logprob == pytest.approx((5 * -0.9 + 24 * -0.1) / 29)
    assert heard.no_speech == pytest.approx((5 * 0.5 + 24 * 0.1) / 29)
    assert answered(text="ja", language="DE").language == "de"


def test_a_server_that_tells_nothing_but_text_is_believed() -> None:
    """No probability is taken for doubt; the language is the one asked for, else nobody knows it."""
    heard = answered(text="yes", language="gibberish", segments="none", words=None)
    assert (heard.avg_logprob, heard.no_speech, heard.words) == (0.0, 0.0, ())
    assert heard.language is None
    assert heard.tokens >= 3
    assert answered(text="sim", window=Window(WINDOW.samples, prior="pt")).language is None
    assert answered(text="yes", language="english", window=Window(WINDOW.samples, task="translate")).language is None
    guessed, named = answered("pt", text="sim"), Window(WINDOW.samples, language="pt")
    assert (guessed.language, guessed.language_probability) == ("pt", 0.9)
    assert answered("pt", text="sim", window=named).language_probability == 1.0


def test_segments_are_phrases_if_they_are_the_text() -> None:
    """Windows of recordings are cut there; whatever is without times, or another text, is none."""
    one, two = {"text": " One.", "start": 0.0, "end": 1.5}, {"text": " Two?", "start": 1.5, "end": 2}
    assert answered(text="One. Two?", segments=[one, two]).phrases == (
        Phrase(" One.", 0.0, 1.5), Phrase(" Two?", 1.5, 2.0),
    )  # fmt: skip
    for segments in ([one], [one, {**two, "end": None}], [one, {**two, "text": "Too"}], []):
        assert answered(text="One. Two?", segments=segments).phrases == ()


@pytest.mark.parametrize(
    "times",
    [
        ((-1, 1.5), (1.5, 2)), ((1, 1.5), (0.5, 2)), ((0, 2), (1, 1.5)), ((0, 1), (2, 1.6)), ((0, 1), (1, 1e308)),
        ((0, 1), (1, 10**400)),
    ],
)  # fmt: skip
def test_segments_with_impossible_times_are_no_phrases(times: tuple[tuple[float, float], ...]) -> None:
    """They go back, end before they begin, or never end: a recording would be decoded twice there, or not at all."""
    segments = [{"text": text, "start": a, "end": b} for text, (a, b) in zip(("One.", "Two?"), times, strict=True)]
    assert answered(text="One. Two?", segments=segments).phrases == ()


def test_segments_that_end_after_the_window_end_with_it() -> None:
    """Servers hear silence that they put there themselves."""
    heard = answered(text="One.", segments=[{"text": "One.", "start": 1, "end": 29.98}])
    assert heard.phrases == (Phrase("One.", 1.0, 2.0),)


def test_numbers_beyond_all_measure_are_taken_for_missing() -> None:
    """As JSON spells them: 400 digits fit no float."""
    huge = int("9" * 400)
    segments = [{"text": "hi", "avg_logprob": huge, "no_speech_prob": -huge}]
    heard = answered(text="hi", segments=segments, words=[{"word": "hi", "start": huge, "end": huge}])
    assert (heard.avg_logprob, heard.no_speech, heard.words) == (0.0, 0.0, ())


def test_half_a_character_is_replaced() -> None:
    """JSON can spell it, and nothing can be written with it."""
    heard = hypothesis(b'{"text": "hi \\ud800", "words": [{"word": "hi\\udfff", "start": 0, "end": 1}]}', WINDOW, None)
    assert heard.text == "hi ?"
    assert [word.text for word in heard.words] == ["hi ?"]


def test_a_text_that_nobody_could_say_is_no_answer() -> None:
    """A server may send a megabyte; a window has 30 s."""
    assert answered(text="a" * MAX_TEXT_CHARACTERS).text
    with pytest.raises(RejectedError, match="8001 characters"):
        answered(text="a" * (MAX_TEXT_CHARACTERS + 1))


def test_what_went_astray_is_asked_anew_at_a_temperature() -> None:
    """A window of a recording, too."""
    packed = Window(WINDOW.samples, packed=True)
    asked = [form(window, "m", None, Detail.TEXT)["data"] for window in (packed, replace(packed, temperature=0.3))]
    assert [fields["temperature"] for fields in asked] == ["0", "0.4"]


def test_words_are_spelled_as_the_text_has_them() -> None:
    """OpenAI leaves out their punctuation; signs that stand alone belong to a word; all stay inside the window."""
    told = [
        {"word": "ice", "start": 0.0, "end": 0.2}, {"word": "cream", "start": 0.2, "end": 0.5},
        {"word": "Strasse", "start": 0.6, "end": 0.9, "probability": 0.25}, {"word": "so", "start": 1.9, "end": 2.4},
    ]  # fmt: skip
    segments = [{"text": "x", "avg_logprob": -math.log(2)}]
    heard = answered(text="Ice-cream: – Straße, so!", words=told, segments=segments)
    assert heard.words == (
        Word("Ice-cream: –", 0.0, 0.5, 0.5), Word(" Straße,", 0.6, 0.9, 0.25), Word(" so!", 1.9, 2.0, 0.5),
    )  # fmt: skip
    assert [unit.end for unit in units(heard.text, heard.words)] == [0.5, 0.9, 2.0]
    assert [word.text for word in answered(text="… so …", words=told[3:]).words] == ["… so …"]


@pytest.mark.parametrize(
    "told",
    [
        [{"word": "five", "start": 0, "end": 1}],
        [{"word": "five dollars", "start": 0}],
        [{"word": "five dollars", "start": True, "end": 1}],
        [{"word": "five dollars", "start": 1, "end": 0.5}],
        [{"word": "five dollars", "start": -1, "end": 0.5}],
        [{"word": "five dollars", "start": 0, "end": float("inf")}],
        [{"word": "5", "start": 0, "end": 1}, {"word": "dollars", "start": 1, "end": 2}],
        ["five dollars"],
    ],
)
def test_words_that_do_not_fit_the_text_are_left_out(told: Any) -> None:
    """Numbers that are spelled in another way, missing and impossible times: no times are better than wrong ones."""
    assert answered(text="five dollars", words=told).words == ()


def test_without_times_words_are_committed_when_passes_agree() -> None:
    """As with them."""
    agreement = LocalAgreement()
    for heard, (text, committed) in enumerate(
        (("so it is", ""), ("so it goes", ""), ("so it goes on", "so it"), ("so it goes on", "so it goes"))
    ):
        agreement.hear(units(answered(text=text).text), 2.0 + heard)
        assert "".join(unit.text for unit in agreement.committed).strip() == committed


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"text": 1}', b"\xff", b"[" * 100_000])
def test_an_answer_that_is_none_is_an_error_that_quotes_nothing(body: bytes) -> None:
    """Whatever came."""
    with pytest.raises(RejectedError, match="not JSON with a text"):
        hypothesis(body, WINDOW, None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["word", "start", "end", "probability", "text", "tokens", "avg_logprob"]), inner, max_size=5
        )
    ),
    max_leaves=12,
)


@given(st.text(max_size=20), JSON, JSON, JSON)
def test_no_answer_breaks_the_reader(text: str, segments: Any, words: Any, language: Any) -> None:
    """Words are in the window and spell the text; numbers are numbers."""
    heard = answered(text=text, segments=segments, words=words, language=language)
    assert heard.language in (None, *LANGUAGE_NAMES)
    assert all(map(math.isfinite, (heard.avg_logprob, heard.no_speech)))
    if heard.words:
        assert "".join(word.text for word in heard.words).split() == heard.text.split()
    assert all(0 <= word.start <= word.end <= 2.0 for word in heard.words)


def test_an_error_says_what_to_do_and_quotes_no_message() -> None:
    """A code, where it looks like one, and the status; the message may quote what was said."""
    body = json.dumps({"error": {"message": "heard: launch code 42", "code": "insufficient_quota"}}).encode()
    quota = error_of(429, body, "20", NOW)
    assert isinstance(quota, PassingError)
    assert (str(quota), quota.hold) == ("HTTP 429 (insufficient_quota).", 20.0)
    assert message_of(body) == "heard: launch code 42"
    for status in (408, 500, 503, 599):
        assert isinstance(error_of(status, b"<html>", None, NOW), PassingError)
    assert "--engine-key-file" in str(error_of(401, b"", None, NOW))
    assert "--engine-url and --engine-model" in str(error_of(404, b"", None, NOW))
    assert isinstance(error_of(301, b"", None, NOW), UnusableError)
    odd = error_of(400, b'{"error": {"code": "what they said"}}', None, NOW)
    assert isinstance(odd, RejectedError)
    assert str(odd) == "HTTP 400."
    assert message_of(b'{"error": "text"}') == ""


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0), ("", 0), ("3", 3), (" 1.5 ", 1.5), ("-3", 0), ("soon", 0), ("1e9", 0), ("9" * 400, 0),
        ("Fri, 02 Jan 2026 03:04:35 GMT", 30), ("Fri, 02 Jan 2026 03:04:00 GMT", 0),
        ("Fri, 02 Jan 2026 03:04:35 -0000", 0),
    ],
)  # fmt: skip
def test_retry_after_has_seconds_or_a_date(value: str | None, seconds: float) -> None:
    """What cannot be read is none."""
    assert hold_of(value, NOW) == seconds
