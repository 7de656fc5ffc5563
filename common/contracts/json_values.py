"""JSON values of payloads: read with their types checked, written as valid UTF-8."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def read_object(message: str | bytes) -> dict[str, Any]:
    """The JSON object in a message. Raises ValueError when it is none."""
    try:
        value = json.loads(message)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError(f"a JSON object was expected, not {type(value).__name__}")
    return value


def field(value: Mapping[str, Any], key: str, kind: type[T]) -> T:
    """The value under a key that must be there and of this type (an int is a float too). Raises ValueError."""
    found = value.get(key)
    if kind is float and isinstance(found, int) and not isinstance(found, bool):
        found = float(found)
    if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
        raise ValueError(f"{key}: {kind.__name__} expected")
    return found


def optional(value: Mapping[str, Any], key: str, kind: type[T]) -> T | None:
    """As `field`, but the key may be missing or null."""
    return None if value.get(key) is None else field(value, key, kind)


def identity(value: Mapping[str, Any], key: str) -> int | str:
    """A meeting's id: a number or a text, as configured. Raises ValueError."""
    return field(value, key, int) if isinstance(value.get(key), int) else field(value, key, str)


def write(value: Mapping[str, Any]) -> str:
    """Compact JSON that is always valid UTF-8: a lone surrogate in a name becomes `?`."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode()
