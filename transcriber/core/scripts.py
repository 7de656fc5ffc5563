"""Words, also in scripts that have no spaces between them: there each sign counts as one."""

from __future__ import annotations

import re

_SIGN = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Thai, Lao, Burmese, Khmer, kana, Han."""
_PIECE = re.compile(rf"\s*(?:[{_SIGN}]|[^\s{_SIGN}]+)")
_WORD = re.compile(rf"[{_SIGN}]|\w+")


def pieces(text: str) -> list[str]:
    """The words with the space before and the punctuation after them: joined they are the text again, stripped."""
    return _PIECE.findall(text.strip())


def words(text: str) -> list[str]:
    """The words alone, in lower case."""
    return _WORD.findall(text.lower())
