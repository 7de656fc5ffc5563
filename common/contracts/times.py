"""Points in time as every payload spells them."""

from __future__ import annotations

from datetime import UTC, datetime


def iso_utc(timestamp: float) -> str:
    """Unix seconds as ISO 8601 in UTC with milliseconds, such as `2026-01-31T09:30:00.250Z`."""
    text = datetime.fromtimestamp(round(timestamp, 3), UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def is_iso_utc(text: str) -> bool:
    """Whether `iso_utc` would spell a time like this."""
    try:
        return iso_utc(datetime.fromisoformat(text).timestamp()) == text
    except (ValueError, OverflowError, OSError):  # no date, or none that the system's clock has
        return False
