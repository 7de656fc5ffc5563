"""Events of the status stream, built and read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.events import BotState, CommandEvent, HealthEvent, StatusEvent, parse_event
from common.contracts.health import Hearing
from common.contracts.json_values import write
from common.contracts.status import State, SubCode
from tests.support.documents import changed, ids, texts, times

ACTIVE = StatusEvent("c", 7, None, State.ACTIVE, "2026-01-31T09:30:00.250Z")
ENDED = StatusEvent(
    "c", "m", "box", State.FAILED, "2026-01-31T09:30:00.250Z", "why", SubCode.NOT_STORED, State.ACTIVE, ("shot.png",), 3
)
DEAF = HealthEvent("c", "room", False, "nothing is heard", "2026-01-31T09:30:00.250Z", Hearing.ZEROS)
REDIS = HealthEvent("c", "redis", True, "connected", "2026-01-31T09:30:00.250Z")
STATE = BotState(State.ACTIVE, Hearing.OK, False, 3, "en", "transcribe", ("en", "de"))
REFUSED = CommandEvent("c", "dance", False, "unknown action", "2026-01-31T09:30:00.250Z")
TOLD = CommandEvent("c", "status", True, "", "2026-01-31T09:30:00.250Z", "7", STATE)


@pytest.mark.parametrize(
    "event",
    [
        ACTIVE,
        ENDED,
        DEAF,
        REDIS,
        REFUSED,
        TOLD,
        StatusEvent("c", 7, None, State.NEEDS_HELP, "2026-01-31T09:30:00.250Z", "a captcha"),
    ],
)
def test_what_is_built_reads_back(event: StatusEvent | HealthEvent | CommandEvent) -> None:
    """Builder and parser are each other's inverse."""
    assert parse_event(json.dumps(event.as_json())) == event


def test_only_an_end_has_a_code() -> None:
    """Consumers tell a terminal event by its code; the exit code follows from it."""
    assert list(ACTIVE.as_json()) == ["event", "connection_id", "meeting_id", "container_name", "status", "timestamp"]
    end = ENDED.as_json()
    assert (end["code"], end["exit_code"], end["stage"], end["not_stored"]) == ("not_stored", 1, "active", 3)


STATUSES = st.builds(
    StatusEvent, texts, ids, st.none() | texts, st.sampled_from(State), times, texts,
    st.none() | st.sampled_from(SubCode), st.none() | st.sampled_from(State),
    st.lists(texts, max_size=2).map(tuple), st.integers(0),
)  # fmt: skip
HEALTHS = st.builds(HealthEvent, texts, texts, st.booleans(), texts, times, st.none() | st.sampled_from(Hearing))
STATES = st.builds(
    BotState, st.sampled_from(State), st.sampled_from(Hearing), st.booleans(), st.integers(0), st.none() | texts, texts,
    st.lists(texts, max_size=2).map(tuple),
)  # fmt: skip
IDS = st.none() | texts | st.integers()
COMMANDS = st.builds(CommandEvent, texts, texts, st.booleans(), texts, times, IDS, st.none() | STATES)


@given(STATUSES | HEALTHS | COMMANDS)
def test_any_event_reads_back(event: StatusEvent | HealthEvent | CommandEvent) -> None:
    """Whatever texts and counts it has; a stage without an end is not written."""
    if isinstance(event, StatusEvent) and event.code is None:
        event = replace(event, stage=None)
    assert parse_event(write(event.as_json())) == event


BROKEN = [case for event in (ENDED, DEAF, TOLD) for case in changed(event.as_json())]


@pytest.mark.parametrize(("broken", "named"), BROKEN)
def test_a_field_of_another_type_is_refused_by_name(broken: Any, named: str) -> None:
    """Every field; the error never quotes what stands there."""
    with pytest.raises(ValueError, match=rf"{named}: .*expected") as error:
        parse_event(json.dumps(broken))
    assert "canary" not in str(error.value)


@pytest.mark.parametrize(
    "wrong", [{"exit_code": 2}, {"code": "somehow"}, {"not_stored": -1}, {"timestamp": "now"}, {"stage": "somewhere"}]
)
def test_values_that_do_not_fit_are_refused(wrong: dict[str, Any]) -> None:
    """The exit code is that of the sub-code, words are known ones, counts and times are such."""
    with pytest.raises(ValueError, match=rf"{next(iter(wrong))}: .*expected"):
        parse_event(json.dumps(ENDED.as_json() | wrong))


@pytest.mark.parametrize("payload", ["[]", "{}", '{"event": "status"}', '{"event": "other"}'])
def test_other_payloads_are_refused(payload: str) -> None:
    """What is not ours is a ValueError."""
    with pytest.raises(ValueError, match="expected"):
        parse_event(payload)


def test_an_unknown_state_is_refused() -> None:
    """A reader that does not know a state must not guess."""
    with pytest.raises(ValueError, match="status: a State expected"):
        parse_event(json.dumps(ACTIVE.as_json() | {"status": "dancing"}))
