"""Words, also in scripts that have no spaces between them: there each sign counts as one."""

from __future__ import annotations

import re
import unicodedata

_SIGN = r"\u0e00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Thai, Lao, Tibetan, Burmese, Khmer, kana, Han."""
_MARK = "".join(chr(code) for code in range(0x300, 0x3100) if unicodedata.category(chr(code)).startswith("M"))
"""Vowels and accents that are written at a letter: in Hindi and many others half of a word. `re` does not know them."""
_PIECE = re.compile(rf"\s*(?:[{_SIGN}][^\w\s]*|[^\s{_SIGN}]+)")
_WORD = re.compile(rf"[{_SIGN}]|(?:[^\W{_SIGN}]|[{_MARK}])+")
_SYLLABLE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_LETTERS = re.compile(rf"[\w{_MARK}]+")


def pieces(text: str) -> list[str]:
    """The words with the space before and the punctuation after them: joined they are the text again, stripped."""
    return _PIECE.findall(text.strip())


def words(text: str) -> list[str]:
    """The words alone, in lower case."""
    return _WORD.findall(text.lower())


def letters(text: str) -> str:
    """What is left without spaces, punctuation and case."""
    return "".join(_LETTERS.findall(text)).casefold()


def syllables(text: str) -> float:
    """About how many there are at most: each sign of kana and Han, elsewhere one in two and a half letters."""
    return (len(text) + 1.5 * len(_SYLLABLE.findall(text))) / 2.5
