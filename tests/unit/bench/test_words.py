"""How live errors are held against those offline."""

from __future__ import annotations

import pytest

from bench.words import STRETCH_WORDS, mistakes, more_errors, report


def test_mistakes_are_counted_where_they_are() -> None:
    """What is put in counts at the word after it, or at the last one."""
    assert mistakes("We must go now.", "we must go now", "en") == [0, 0, 0, 0]
    assert mistakes("we must go now", "so we might go now or never", "en") == [1, 1, 0, 2]
    assert mistakes("we must go", "we go", "en") == [0, 1, 0]
    assert mistakes("今日は", "今は", "ja") == [0, 1, 0]


def row(live: str, offline: str, track: str = "turns") -> dict[str, object]:
    """Of two clips of ten words."""
    said = " ".join("abcdefghij")
    return {
        "track": track, "language": "en", "speech_s": 10.0, "cpu_s": 2.5, "calls": {"partial": 3}, "lost": 0,
        "changed": 0,
        "said": [said, said], "text": [live, said], "offline_text_1": [offline, said], "offline_text_5": [said, said],
        "live": [1, 0, 0, 20], "offline_beam_1": [0, 0, 0, 20], "offline_beam_5": [0, 0, 0, 20], "delays_s": [0.4, 0.6],
    }  # fmt: skip


def test_errors_beyond_offline_have_an_interval() -> None:
    """From none of the stretches that are worse to all of them; the same errors on both sides are no difference."""
    said = " ".join("abcdefghij")
    wrong = said.replace("c", "x")
    assert STRETCH_WORDS == 10
    assert more_errors([row(wrong, said)], 1) == pytest.approx((0.05, 0.0, 0.1))
    assert more_errors([row(wrong, wrong)], 1) == (0.0, 0.0, 0.0)


def test_the_page_begins_with_what_it_says_and_tells_old_speed_from_new() -> None:
    """Delays of a monologue, which has no pauses, are in no sum."""
    said = " ".join("abcdefghij")
    rows = [row(said.replace("c", "x"), said), row(said, said, "monologue without pauses")]
    page = report({"windows": {}, "speed_of": "abc1234", "rows": rows}, "words.json")
    assert "* English: 5.0% of 40 words are wrong live, 0.0% offline with beam 1" in page
    assert "Finals come 0.50 / 0.59 s after the speech (p50 / p95), for 0.25 CPU seconds per second." in page
    assert "those of commit abc1234" in page
    assert "those of commit" not in report({"windows": {}, "speed_of": "", "rows": rows}, "words.json")
