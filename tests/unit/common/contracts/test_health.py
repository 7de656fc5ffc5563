"""Bodies of both health endpoints, built and read."""

from __future__ import annotations

import json

import pytest

from common.contracts.health import BotHealth, TranscriberHealth, parse_bot_health, parse_transcriber_health

TRANSCRIBER = TranscriberHealth("ok", "faster_whisper", "demo", 3, 64, 1.2, 0, 0.0, "up", 0, 0)


@pytest.mark.parametrize("age", [None, 1.5])
def test_the_bots_body_reads_back(age: float | None) -> None:
    """Builder and parser are each other's inverse."""
    health = BotHealth("active", {"redis": True}, age)
    assert parse_bot_health(json.dumps(health.as_json())) == health


@pytest.mark.parametrize("last", [None, 1.2])
def test_the_transcribers_body_reads_back(last: float | None) -> None:
    """Builder and parser are each other's inverse."""
    body = json.dumps(TRANSCRIBER.as_json() | {"last_decode_s": last})
    assert parse_transcriber_health(body).last_decode_s == last


def test_other_bodies_are_refused() -> None:
    """A proxy's page is no health."""
    for parse in (parse_bot_health, parse_transcriber_health):
        with pytest.raises(ValueError, match="expected"):
            parse("{}")
