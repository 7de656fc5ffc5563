"""JSON values of payloads: read with their types checked, written as valid UTF-8."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

from common.contracts.times import is_iso_utc

T = TypeVar("T")
Member = TypeVar("Member", bound=StrEnum)


def read_object(message: str | bytes) -> dict[str, Any]:
    """The JSON object in a message. Raises ValueError when it is none."""
    try:
        value = json.loads(message)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None
    except ValueError:  # its words quote the message, and a message may hold what was said
        raise ValueError("JSON was expected") from None
    if not isinstance(value, dict):
        raise ValueError(f"a JSON object was expected, not {type(value).__name__}")
    return value


def field(value: Mapping[str, Any], key: str, kind: type[T]) -> T:
    """The value under a key that must be there and of this type: a finite float, which an int is too.

    Raises:
        ValueError: it names the key and the type, never the value.
    """
    found = value.get(key)
    if kind is float and isinstance(found, int) and not isinstance(found, bool):
        found = _float(found)
    is_finite = not isinstance(found, float) or math.isfinite(found)
    if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool) or not is_finite:
        raise ValueError(f"{key}: {kind.__name__} expected")
    return found


def _float(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def count(value: Mapping[str, Any], key: str) -> int:
    """A whole number from 0. Raises ValueError."""
    found = field(value, key, int)
    if found < 0:
        raise ValueError(f"{key}: a count expected")
    return found


def moment(value: Mapping[str, Any], key: str) -> str:
    """A time as `iso_utc` spells it. Raises ValueError."""
    found = field(value, key, str)
    if not is_iso_utc(found):
        raise ValueError(f"{key}: a time such as 2026-01-31T09:30:00.250Z expected")
    return found


def member(value: Mapping[str, Any], key: str, kind: type[Member]) -> Member:
    """A word of an enumeration. Raises ValueError."""
    found = field(value, key, str)
    if found not in list(kind):
        raise ValueError(f"{key}: a {kind.__name__} expected")
    return kind(found)


def items(value: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """A list of JSON objects. Raises ValueError."""
    found = field(value, key, list)
    if not all(isinstance(item, Mapping) for item in found):
        raise ValueError(f"{key}: a list of JSON objects expected")
    return found


def optional(value: Mapping[str, Any], key: str, kind: type[T]) -> T | None:
    """As `field`, but the key may be missing or null."""
    return None if value.get(key) is None else field(value, key, kind)


def identity(value: Mapping[str, Any], key: str) -> int | str:
    """A meeting's id: a number or a text, as configured. Raises ValueError."""
    return field(value, key, int) if isinstance(value.get(key), int) else field(value, key, str)


def write(value: Mapping[str, Any]) -> str:
    """Compact JSON that is always valid UTF-8: a lone surrogate in a name becomes `?`."""
    return as_utf8(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def as_utf8(text: str) -> str:
    """A text that others chose, as it can be written: a lone surrogate becomes `?`."""
    return text.encode("utf-8", "replace").decode()
