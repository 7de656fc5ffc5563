"""Subtitles: transcripts of recordings as text, SRT, WebVTT and OpenAI's JSON."""

from __future__ import annotations

import html
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from transcriber.core.windows import Word

SPACELESS_LANGUAGES = frozenset(("ja", "yue", "zh"))


@dataclass(frozen=True, slots=True)
class Line:
    """One utterance of a recording. Times, also those of its words, are seconds since the start of the recording."""

    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()
    language: str = ""
    """Of the text; empty: not known."""
    avg_logprob: float = 0.0
    no_speech: float = 0.0
    temperature: float = 0.0
    is_doubtful: bool = False
    """The model went astray in it, each time it was asked."""
    channel: int = 0


def plain(lines: Sequence[Line]) -> str:
    """The text alone."""
    return "".join(separator(number, line) + line.text for number, line in enumerate(lines))


def separator(number: int, line: Line) -> str:
    """What stands before a line in running text, if it is not the first: a space, where the language has any."""
    return " " if number and line.language not in SPACELESS_LANGUAGES else ""


def text(lines: Sequence[Line]) -> str:
    """One line of text per utterance."""
    return "".join(f"{line.text}\n" for line in lines)


def srt(lines: Sequence[Line]) -> str:
    """SubRip."""
    return "".join(
        f"{number}\n{_clock(line.start, ',')} --> {_clock(line.end, ',')}\n{_one_line(line.text)}\n\n"
        for number, line in enumerate(lines, 1)
    )


def vtt(lines: Sequence[Line]) -> str:
    """WebVTT (https://www.w3.org/TR/webvtt1/): `&`, `<` and `>` are escaped, so no text can pass for markup."""
    return "WEBVTT\n\n" + "".join(
        f"{_clock(line.start, '.')} --> {_clock(line.end, '.')}\n{html.escape(_one_line(line.text), quote=False)}\n\n"
        for line in lines
    )


TEXT_FORMATS: dict[str, tuple[Callable[[Sequence[Line]], str], str]] = {
    "text": (text, "text/plain"),
    "srt": (srt, "application/x-subrip"),
    "vtt": (vtt, "text/vtt"),
}
"""Per response format: the writer and its media type."""


def verbose(
    lines: Sequence[Line], *, duration: float, language: str, task: str = "transcribe", segments: bool = True,
    words: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """OpenAI's `verbose_json`; the language is a code, token ids are not known."""
    body: dict[str, Any] = {
        "task": task,
        "language": language,
        "duration": round(duration, 3),
        "text": plain(lines),
    }
    if segments:
        body["segments"] = [segment(number, line) for number, line in enumerate(lines)]
    if words:
        body["words"] = [spoken for line in lines for spoken in word_list(line)]
    return body


def segment(number: int, line: Line) -> dict[str, Any]:
    """One of the `segments` of `verbose_json`."""
    encoded = line.text.encode()
    return {
        "id": number,
        "seek": round(line.start * 100),
        "start": round(line.start, 3),
        "end": round(line.end, 3),
        "text": line.text,
        "tokens": [],
        "temperature": line.temperature,
        "avg_logprob": round(line.avg_logprob, 4),
        "compression_ratio": round(len(encoded) / len(zlib.compress(encoded)), 3),
        "no_speech_prob": round(line.no_speech, 4),
    }


def word_list(line: Line) -> list[dict[str, Any]]:
    """The words of a line with their times."""
    return [
        {"word": word.text.strip(), "start": round(word.start, 3), "end": round(word.end, 3)} for word in line.words
    ]


def _one_line(words: str) -> str:
    return " ".join(words.split())


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    whole, rest = divmod(milliseconds, 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{rest:03}"
