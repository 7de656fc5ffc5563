"""What must never be printed: credentials in URLs, secrets of the configuration, anything that looks like a token."""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "***"
MIN_SECRET_CHARACTERS = 6
"""Shorter secrets (a four-digit passcode) are masked by their key only: elsewhere they would eat innocent text."""

_CREDENTIALS = re.compile(r"(?<=://)[^\s\"']*@")
_QUERY_VALUE = re.compile(r"([?&][^=&#\s]+=)[^&#\s]*")
_JWT = re.compile(r"\b[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\b")
_ASSIGNED = re.compile(
    r"(?i)\b((?:access_?|auth_?)?token|api_?key|api_?secret|secret|password|passwd|passcode|authorization)"
    r"(\"?'?\s*[=:]\s*\"?'?(?:bearer\s+)?)[^\s\"',;&}]+"
)


def redact_url(url: str) -> str:
    """The URL without user, password and query values; what is no URL at all is masked as a whole."""
    if "://" not in url:
        return MASK
    return _QUERY_VALUE.sub(rf"\1{MASK}", _CREDENTIALS.sub(f"{MASK}@", url))


class Redactor:
    """Replaces known secrets and whatever looks like one by `***`.

    Args:
        secrets: Exact values that must not appear; those shorter than `MIN_SECRET_CHARACTERS` are ignored.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({secret for secret in secrets if len(secret) >= MIN_SECRET_CHARACTERS}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, text: str) -> str:
        """`text` with every secret masked."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        text = _CREDENTIALS.sub(f"{MASK}@", text)
        text = _JWT.sub(MASK, text)
        return _ASSIGNED.sub(rf"\1\2{MASK}", text)


_ESCAPE_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str, limit: int, *, keep_newlines: bool = False) -> str:
    """`text` fit for a terminal or a log: no escape sequences, control or bidi characters, at most `limit` long."""
    cut = text if len(text) <= limit else f"{text[:limit]}…"
    plain = _ESCAPE_SEQUENCES.sub("", cut)
    if keep_newlines:
        return "\n".join(_UNPRINTABLE.sub(" ", line) for line in plain.split("\n"))
    return _UNPRINTABLE.sub(" ", plain)
