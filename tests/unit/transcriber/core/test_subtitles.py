"""Transcripts as text, subtitles and JSON."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from transcriber.core.subtitles import TEXT_FORMATS, Line, plain, segment, srt, text, verbose, vtt, word_list
from transcriber.core.windows import Word

LINES = [
    Line(0.25, 1.9996, "hello there", (Word(" hello", 0.25, 0.6, 0.9), Word(" there", 0.7, 1.2, 0.8))),
    Line(3725.5, 3726.0, "a < b & c --> d", avg_logprob=-0.25, no_speech=0.125),
]


def test_text_has_a_line_per_utterance() -> None:
    """And the plain form none."""
    assert text(LINES) == "hello there\na < b & c --> d\n"
    assert plain(LINES) == "hello there a < b & c --> d"
    assert text([]) == plain([]) == srt([]) == ""


def test_running_text_has_spaces_where_its_language_has() -> None:
    """None between two sentences of Japanese; Thai has none between words only."""
    thai = [Line(0, 1, "สวัสดี", language="th"), Line(1, 2, "ครับ", language="th")]
    assert plain(thai) == "สวัสดี ครับ"
    lines = [
        Line(0, 1, "はい。", language="ja"),
        Line(1, 2, "いいえ。", language="ja"),
        Line(2, 3, "OK", language="en"),
    ]
    assert plain(lines) == "はい。いいえ。 OK"


def test_srt() -> None:
    """Numbered from 1, comma before the milliseconds."""
    assert srt(LINES) == (
        "1\n00:00:00,250 --> 00:00:02,000\nhello there\n\n2\n01:02:05,500 --> 01:02:06,000\na < b & c --> d\n\n"
    )


def test_vtt() -> None:
    """A header, a dot, and nothing that could be markup."""
    assert vtt(LINES) == (
        "WEBVTT\n\n00:00:00.250 --> 00:00:02.000\nhello there\n\n"
        "01:02:05.500 --> 01:02:06.000\na &lt; b &amp; c --&gt; d\n\n"
    )
    assert vtt([]) == "WEBVTT\n\n"


@given(st.lists(st.text(), max_size=5), st.floats(0, 1e6))
def test_no_text_breaks_the_structure(texts: list[str], start: float) -> None:
    """As many cues as lines, whatever is said in them."""
    lines = [Line(start, start + 1, said) for said in texts]
    for write in (srt, vtt):
        cues = re.findall(r"^\d\d+:\d\d:\d\d[,.]\d{3} --> \d\d+:\d\d:\d\d[,.]\d{3}\n[^\n]*\n\n", write(lines), re.M)
        assert len(cues) == len(lines)
    assert all("-->" not in cue for cue in vtt(lines).split("\n")[3::3])


def test_verbose() -> None:
    """Segments unless only words are wanted; language, duration, all keys that OpenAI's clients read."""
    body = verbose(LINES, duration=3730.00049, language="en")
    assert (body["task"], body["language"], body["duration"]) == ("transcribe", "en", 3730.0)
    assert body["segments"] == [segment(0, LINES[0]), segment(1, LINES[1])]
    assert "words" not in body
    only_words = verbose(LINES, duration=1, language="en", segments=False, words=True)
    assert "segments" not in only_words
    assert only_words["words"] == word_list(LINES[0])
    assert word_list(LINES[0])[1] == {"word": "there", "start": 0.7, "end": 1.2}


def test_a_segment_has_what_the_engine_said_about_it() -> None:
    """Position in hundredths, probabilities, how repetitive it is."""
    shown = segment(1, LINES[1])
    assert (shown["id"], shown["seek"], shown["avg_logprob"], shown["no_speech_prob"]) == (1, 372550, -0.25, 0.125)
    assert segment(0, Line(0, 1, "no " * 100))["compression_ratio"] > 5 > segment(0, LINES[0])["compression_ratio"]


def test_every_text_format_has_its_media_type() -> None:
    """The names that clients ask for."""
    assert {name: media for name, (_, media) in TEXT_FORMATS.items()} == {
        "text": "text/plain", "srt": "application/x-subrip", "vtt": "text/vtt",
    }  # fmt: skip
