"""Formats of RTP payloads."""

from __future__ import annotations

import pytest

from bot.codecs.formats import STATIC, Format, format_of


@pytest.mark.parametrize(
    ("codec", "rate", "channels", "expected"),
    [
        ("OPUS", 48_000, 2, Format("opus")),
        ("opus", None, None, Format("opus")),
        ("PCMU", 8_000, 1, STATIC[0]),
        ("pcma", None, None, STATIC[8]),
        ("L16", 44_100, 2, STATIC[10]),
        ("l16", 44_100, None, STATIC[11]),
    ],
)
def test_known(codec: str, rate: int | None, channels: int | None, expected: Format) -> None:
    """Whatever their case, with what they leave out."""
    assert format_of(codec, rate, channels) == expected


@pytest.mark.parametrize(
    ("codec", "rate", "channels", "words"),
    [
        ("G722", 8_000, 1, "known: opus, pcmu, pcma, l16"),
        ("opus", 16_000, 2, "48000 Hz"),
        ("pcmu", 16_000, 1, "8000 Hz"),
        ("l16", None, 1, "8000 to 48000 Hz"),
        ("l16", 96_000, 1, "8000 to 48000 Hz"),
        ("l16", 16_000, 6, "one or two channels"),
    ],
)
def test_unknown(codec: str, rate: int | None, channels: int | None, words: str) -> None:
    """What cannot be heard is said, with what could be."""
    with pytest.raises(ValueError, match=words):
        format_of(codec, rate, channels)
