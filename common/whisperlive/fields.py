"""Fields of WhisperLive messages: readers that give a value, or say as a ProtocolError what was expected; pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

MAX_SAMPLE_INDEX = 1 << 53
"""Sample indexes stay exact in every JSON reader."""


class ProtocolError(ValueError):
    """A message that breaks the wire format. Its text is meant for the peer's people."""

    def __init__(self, message: str, *, fatal: bool = False, uid: str = "") -> None:
        super().__init__(message)
        self.fatal = fatal
        """The connection cannot go on."""
        self.uid = uid
        """Whose first message it was, if that much could be read: stock clients hear only what carries their uid."""


def json_object(message: str, what: str) -> Mapping[str, Any]:
    """Parses a JSON object. Python's NaN and Infinity too, as stock peers do: the readers below refuse them by name."""
    try:
        data = json.loads(message)
    except (ValueError, RecursionError):
        raise ProtocolError(f"The {what} is not JSON.") from None
    if not isinstance(data, dict):
        raise ProtocolError(f"The {what} is not a JSON object.")
    return data


def mapping(value: object) -> Mapping[str, Any]:
    """A JSON object."""
    return value if isinstance(value, dict) else wrong(value, "an object")


def sequence(value: object) -> list[Any]:
    """A JSON list."""
    return value if isinstance(value, list) else wrong(value, "a list")


def text(value: object) -> str:
    """Text."""
    return value if isinstance(value, str) else wrong(value, "text")


def flag(value: object) -> bool:
    """True or false."""
    return value if isinstance(value, bool) else wrong(value, "true or false")


def index(value: object) -> int:
    """A sample index."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_SAMPLE_INDEX:
        return value
    return wrong(value, "a whole number from 0 on")


def number(value: object) -> float:
    """A finite number, also as text: stock servers send times as strings."""
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            if math.isfinite(result := float(value)):
                return result
        except (ValueError, OverflowError):
            pass
    return wrong(value, "a finite number")


def seconds(value: object) -> float:
    """A time from 0 on."""
    result = number(value)
    return result if result >= 0 else wrong(value, "a time from 0 on")


def wrong(value: object, expected: str) -> NoReturn:
    """Says of which kind a value is, and quotes no text: in a segment it may be what somebody said."""
    raise ProtocolError(f"expected {expected}, got {_kind(value)}")


def wrong_setting(value: object, expected: str) -> NoReturn:
    """Quotes it: a client's own setting, which its people want to see."""
    raise ProtocolError(f"expected {expected}, got {shown(value)}")


def _kind(value: object) -> str:
    match value:
        case str():
            return "a text"
        case list():
            return "a list"
        case dict():
            return "an object"
    return shown(value)


def shown(value: object) -> str:
    """As ASCII, 60 characters at most."""
    quoted = ascii(value)
    return quoted if len(quoted) <= 60 else quoted[:57] + "..."
