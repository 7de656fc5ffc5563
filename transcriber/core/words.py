"""Words, also in scripts that have no spaces between them: there each sign counts as one."""

from __future__ import annotations

import re
import unicodedata

_SIGN_RANGES = r"\u0e00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Thai, Lao, Tibetan, Burmese, Khmer, kana, Han."""
_MARK_CHARACTERS = "".join(
    chr(code) for code in range(0x300, 0x3100) if unicodedata.category(chr(code)).startswith("M")
)
"""Vowels and accents that are written at a letter: in Hindi and many others half of a word. `re` does not know them."""
_PIECE_PATTERN = re.compile(rf"\s*(?:[{_SIGN_RANGES}][^\w\s]*|[^\s{_SIGN_RANGES}]+)")
_WORD_PATTERN = re.compile(rf"[{_SIGN_RANGES}]|(?:[^\W{_SIGN_RANGES}]|[{_MARK_CHARACTERS}])+")
_SIGN_PATTERN = re.compile(rf"[{_SIGN_RANGES}]")
_SYLLABLE_PATTERN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_LETTERS_PATTERN = re.compile(rf"[\w{_MARK_CHARACTERS}]+")


def pieces(text: str) -> list[str]:
    """The words with the space before and the punctuation after them: joined they are the text again, stripped.

    Signs that stand alone ("Tu viens ?", "- Oui") belong to the word before, the first ones to the word after.
    """
    found: list[str] = []
    for piece in _PIECE_PATTERN.findall(text.strip()):
        if found and not (letters(piece) and letters(found[-1])):
            found[-1] += piece
        else:
            found.append(piece)
    return found


def is_sign(text: str) -> bool:
    """Whether it begins with a sign of a script without spaces."""
    return _SIGN_PATTERN.match(text) is not None


def words(text: str) -> list[str]:
    """The words alone, in lower case."""
    return _WORD_PATTERN.findall(text.lower())


def letters(text: str) -> str:
    """What is left without spaces, punctuation and case."""
    return "".join(_LETTERS_PATTERN.findall(text)).casefold()


def syllables(text: str) -> float:
    """About how many there are at most: each sign of kana and Han, elsewhere one in two and a half letters."""
    return (len(text) + 1.5 * len(_SYLLABLE_PATTERN.findall(text))) / 2.5
