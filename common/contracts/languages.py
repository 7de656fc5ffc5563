"""Language codes, as configurations, commands and transcribers spell them."""

from __future__ import annotations

import re


def is_language(text: str) -> bool:
    """Whether it has the form of a code such as `en` or `yue`; which ones a model knows is for the model to say."""
    return re.fullmatch(r"[a-z]{2,3}", text) is not None


WHISPER = frozenset({
    "af", "am", "ar", "as", "az", "ba", "be", "bg", "bn", "bo", "br", "bs", "ca", "cs", "cy", "da", "de", "el", "en",
    "es", "et", "eu", "fa", "fi", "fo", "fr", "gl", "gu", "ha", "haw", "he", "hi", "hr", "ht", "hu", "hy", "id", "is",
    "it", "ja", "jw", "ka", "kk", "km", "kn", "ko", "la", "lb", "ln", "lo", "lt", "lv", "mg", "mi", "mk", "ml", "mn",
    "mr", "ms", "mt", "my", "ne", "nl", "nn", "no", "oc", "pa", "pl", "ps", "pt", "ro", "ru", "sa", "sd", "si", "sk",
    "sl", "sn", "so", "sq", "sr", "su", "sv", "sw", "ta", "te", "tg", "th", "tk", "tl", "tr", "tt", "uk", "ur", "uz",
    "vi", "yi", "yo", "yue", "zh",
})  # fmt: skip
"""Whisper's codes. Consumers check against them, and hide a segment with another."""


def whisper_language(code: str | None) -> str | None:
    """The code, if it is one of Whisper's."""
    return code if code in WHISPER else None
