"""Events of the status stream, built and read."""

from __future__ import annotations

import json

import pytest

from common.contracts.events import HealthEvent, StatusEvent, parse_event
from common.contracts.status import State, SubCode

ACTIVE = StatusEvent("c", 7, None, State.ACTIVE, "t")
ENDED = StatusEvent("c", "m", "box", State.FAILED, "t", "why", SubCode.NOT_STORED, State.ACTIVE, ("shot.png",), 3)
DEAF = HealthEvent("c", "room", False, "nothing is heard", "t")


@pytest.mark.parametrize("event", [ACTIVE, ENDED, DEAF, StatusEvent("c", 7, None, State.NEEDS_HELP, "t", "a captcha")])
def test_what_is_built_reads_back(event: StatusEvent | HealthEvent) -> None:
    """Builder and parser are each other's inverse."""
    assert parse_event(json.dumps(event.as_json())) == event


def test_only_an_end_has_a_code() -> None:
    """Consumers tell a terminal event by its code; the exit code follows from it."""
    assert list(ACTIVE.as_json()) == ["event", "connection_id", "meeting_id", "container_name", "status", "timestamp"]
    end = ENDED.as_json()
    assert (end["code"], end["exit_code"], end["stage"], end["not_stored"]) == ("not_stored", 1, "active", 3)


@pytest.mark.parametrize("payload", ["[]", "{}", '{"event": "status"}', '{"event": "other"}'])
def test_other_payloads_are_refused(payload: str) -> None:
    """What is not ours is a ValueError."""
    with pytest.raises(ValueError, match="expected"):
        parse_event(payload)


def test_an_unknown_state_is_refused() -> None:
    """A reader that does not know a state must not guess."""
    with pytest.raises(ValueError, match="dancing"):
        parse_event(json.dumps(ACTIVE.as_json() | {"status": "dancing"}))
