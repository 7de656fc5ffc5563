"""The value of a heartbeat, built and read."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.heartbeat import Heartbeat, parse_heartbeat
from common.contracts.json_values import write
from tests.support.documents import changed, ids, numbers, texts

BEAT = Heartbeat("bot-42", 42, "rehearsal", "vexa-bot-42", 1_769_851_800.25)


def test_it_is_written_like_this() -> None:
    """Consumers know these keys."""
    assert BEAT.as_json() == {
        "connection_id": "bot-42", "meeting_id": 42, "platform": "rehearsal", "container_name": "vexa-bot-42",
        "at": 1_769_851_800.25,
    }  # fmt: skip


@given(st.builds(Heartbeat, texts, ids, texts, st.none() | texts, numbers))
def test_any_heartbeat_reads_back(beat: Heartbeat) -> None:
    """Builder and parser are each other's inverse."""
    assert parse_heartbeat(write(beat.as_json())) == beat


@given(st.text() | st.binary())
def test_any_value_is_a_heartbeat_or_refused(value: str | bytes) -> None:
    """Nothing but a ValueError comes out."""
    with suppress(ValueError):
        assert isinstance(parse_heartbeat(value), Heartbeat)


@pytest.mark.parametrize(("broken", "named"), changed(BEAT.as_json()))
def test_a_wrong_field_is_refused_by_name(broken: Any, named: str) -> None:
    """Every field; the error never quotes what stands there."""
    with pytest.raises(ValueError, match=rf"{named}: .*expected") as error:
        parse_heartbeat(json.dumps(broken))
    assert "canary" not in str(error.value)
