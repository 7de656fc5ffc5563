"""OpenAI's API for transcription, what is on the wire: a window as a form, an answer as a hypothesis or as an error.

Servers differ in what they tell beside the text. Words often come without their punctuation, and seldom with a
probability: they are spelled as the text has them, and are as probable as their sentence. Where words and text do not
fit together, and where there are none, the words have no times.
"""

from __future__ import annotations

import io
import json
import math
import re
import wave
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any

import numpy as np

from common.contracts.languages import language_code
from common.redact import printable
from common.whisperlive.protocol import SAMPLE_RATE
from transcriber.core.languages import UNTOLD_LANGUAGE_SHARE
from transcriber.core.windows import MAX_NUMBER, Hypothesis, Phrase, Samples, Window, Word
from transcriber.core.words import letters, pieces

RETRY_TEMPERATURE = "0.4"
"""For a window whose text went astray: at 0 the same would come again."""
MIN_AUDIO_SAMPLES = SAMPLE_RATE // 5
"""Shorter words are sent with silence after them: OpenAI takes no file under 0.1 s."""
MAX_MESSAGE_CHARACTERS = 200
"""Of what a server says is wrong."""
MAX_TEXT_CHARACTERS = 8000
"""Of what a window of 30 s may say: three times what a model loops to. More is no answer, and takes long to judge."""
PASSING_STATUSES = frozenset({408, 425, 429})
"""Worth another try, as are all from 500 on."""
KEY_STATUSES = frozenset({401, 403})
ADDRESS_STATUSES = frozenset({301, 302, 303, 307, 308, 404, 405})
"""No call will be answered: the key, or the address or the model is wrong."""


class Detail(Enum):
    """What is asked for beside the text. Not every server and model takes every form."""

    WORDS = "words"
    SEGMENTS = "segments"
    TEXT = "text"


class PassingError(Exception):
    """No answer, or not now.

    Args:
        problem: For people.
        hold: Seconds that the server wants to be left alone.
    """

    def __init__(self, problem: str, hold: float = 0.0) -> None:
        super().__init__(problem)
        self.hold = hold


class UnusableError(Exception):
    """The server will answer no call like this."""


class RejectedError(Exception):
    """The server does not take this call, or its answer is none; another one may be different.

    Args:
        problem: For people.
        is_refusal: It refused the call, as for its language or prompt: it may be well.
    """

    def __init__(self, problem: str, *, is_refusal: bool = False) -> None:
        super().__init__(problem)
        self.is_refusal = is_refusal


# --- to the server -------------------------------------------------------------------------------------------------


def form(window: Window, model: str, language: str | None, detail: Detail) -> dict[str, Any]:
    """The fields and the file of a call, as httpx takes them. For a translation no language is named."""
    translates = window.task == "translate"
    fields: dict[str, str | list[str]] = {
        "model": model,
        "temperature": RETRY_TEMPERATURE if window.full or window.temperature else "0",
        "response_format": "json" if detail is Detail.TEXT else "verbose_json",
    }
    if window.words and detail is Detail.WORDS and not translates:
        fields["timestamp_granularities[]"] = ["word", "segment"]
    if language and not translates:
        fields["language"] = language
    if window.prompt:
        fields["prompt"] = window.prompt
    return {"data": fields, "files": {"file": ("speech.wav", wav(window.samples), "audio/wav")}}


def wav(samples: Samples) -> bytes:
    """A file of 16 kHz mono, 16 bits, with silence at the end of what is too short to be taken."""
    if len(samples) < MIN_AUDIO_SAMPLES:
        samples = np.pad(samples, (0, MIN_AUDIO_SAMPLES - len(samples)))
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()


# --- from the server -----------------------------------------------------------------------------------------------


def error_of(
    status: int, body: bytes, retry_after: str | None, now: datetime
) -> PassingError | UnusableError | RejectedError:
    """What an answer other than 200 means. Its text has the status and the server's code, not the server's message."""
    code = _error(body).get("code")
    known = code if isinstance(code, str) and re.fullmatch(r"[\w.-]{1,60}", code) else None
    problem = f"HTTP {status}" + (f" ({known})" if known else "")
    if status in PASSING_STATUSES or status >= 500:
        return PassingError(f"{problem}.", hold_of(retry_after, now))
    if status in KEY_STATUSES:
        return UnusableError(f"{problem}: it does not accept the key. Put the right one into --engine-key-file.")
    if status in ADDRESS_STATUSES:
        return UnusableError(f"{problem}: no such address, or model. Check --engine-url and --engine-model.")
    return RejectedError(f"{problem}.", is_refusal=True)


def message_of(body: bytes) -> str:
    """What the server says is wrong: only where it cannot quote what was said."""
    return printable(str(_error(body).get("message", "")), MAX_MESSAGE_CHARACTERS)


def _error(body: bytes) -> Mapping[str, Any]:
    answer = _json(body)
    error = answer.get("error") if isinstance(answer, dict) else None
    return error if isinstance(error, dict) else {}


def hold_of(retry_after: str | None, now: datetime) -> float:
    """Seconds from `Retry-After`, which has seconds or a date; 0.0 without one that can be read."""
    value = (retry_after or "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value):
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (ValueError, TypeError):  # no date, or one without a zone
        return 0.0


def hypothesis(body: bytes, window: Window, language: str | None) -> Hypothesis:
    """What the server made of a window in this language; None: it had to find that. Raises RejectedError."""
    answer = _json(body)
    if not isinstance(answer, dict) or not isinstance(answer.get("text"), str):
        raise RejectedError("an answer that is not JSON with a text.")
    text = _text(answer["text"]).strip()
    if len(text) > MAX_TEXT_CHARACTERS:
        raise RejectedError(f"an answer with {len(text)} characters; a window never says {MAX_TEXT_CHARACTERS}.")
    seconds = len(window.samples) / SAMPLE_RATE
    segments = _objects(answer.get("segments"))
    logprob = _mean(segments, "avg_logprob")
    usual = 0.0 if logprob is None else math.exp(min(0.0, logprob))
    told = language_code(_text(answer.get("language")))
    found = language or (told if window.task == "transcribe" else None)  # of a translation it may be that of the text
    return Hypothesis(
        text=text,
        language=found,
        # it was told by the client; else heard by the server, or guessed by us
        language_probability=1.0 if window.language else UNTOLD_LANGUAGE_SHARE,
        tokens=sum(len(_list(s.get("tokens"))) for s in segments) or len(text),  # unknown: more than there can be
        avg_logprob=logprob or 0.0,
        no_speech=_mean(segments, "no_speech_prob") or 0.0,
        phrases=phrases(text, segments, seconds),
        words=timed(text, _objects(answer.get("words")), usual, seconds),
    )


def phrases(text: str, segments: Sequence[Mapping[str, Any]], seconds: float) -> tuple[Phrase, ...]:
    """The server's segments within a window of so many seconds; none if times are missing or impossible, or the letters
    are others than the text's."""
    found: list[Phrase] = []
    last_start = last_end = 0.0
    for item in segments:
        start, end = (_number(item.get(key)) for key in ("start", "end"))
        if start is None or end is None or not last_start <= start <= end or end < last_end:
            return ()
        last_start, last_end = start, end
        found.append(Phrase(_text(item.get("text")), min(start, seconds), min(end, seconds)))
    return tuple(found) if letters("".join(phrase.text for phrase in found)) == letters(text) else ()


def timed(text: str, told: Sequence[Mapping[str, Any]], usual: float, seconds: float) -> tuple[Word, ...]:
    """The words as the text spells them; none if times are missing or the letters are others.

    Args:
        text: With spaces and punctuation.
        told: The server's words.
        usual: The probability of those that come without one.
        seconds: Length of the window.
    """
    owners: list[Word] = []  # of each letter
    for item in told:
        start, end, probability = (_number(item.get(key)) for key in ("start", "end", "probability"))
        if start is None or end is None or not 0 <= start <= end:
            return ()
        word = Word("", min(start, seconds), min(end, seconds), usual if probability is None else probability)
        owners += [word] * len(letters(_text(item.get("word"))))
    if not owners or letters(text) != "".join(letters(_text(item.get("word"))) for item in told):
        return ()
    words: list[Word] = []
    at = 0
    for piece in pieces(text):
        first = owners[at]
        at += len(letters(piece))
        last = owners[at - 1]
        words.append(Word(piece, first.start, last.end, min(first.probability, last.probability)))
    return tuple(words)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [item for item in _list(value) if isinstance(item, dict)]


def _text(value: object) -> str:
    """A text that can be written: JSON may spell halves of characters."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    """What is larger than any is taken for missing."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER
    return float(value) if is_number else None


def _mean(segments: Sequence[Mapping[str, Any]], key: str) -> float | None:
    """Over the segments that tell it, long ones for more; None: none does."""
    told = [(value, 1 + len(_text(s.get("text")))) for s in segments if (value := _number(s.get(key))) is not None]
    return sum(value * weight for value, weight in told) / sum(weight for _, weight in told) if told else None
