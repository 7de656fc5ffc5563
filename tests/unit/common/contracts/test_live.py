"""Live messages, built and read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from common.contracts.live import live, parse_live
from common.contracts.segments import Segment, Word
from tests.support.documents import SEGMENTS, changed, ids

SEGMENT = Segment(
    "b:ana:1", 1.0, 2.5, " Hello", "Ana", "ana", None, False, "2026-01-31T09:30:00.250Z", "2026-01-31T09:30:00.250Z"
)


@pytest.mark.parametrize("meeting", ["m", 7])
def test_the_message_names_the_meeting_and_holds_one_segment(meeting: int | str) -> None:
    """Builder and parser are each other's inverse."""
    message = live(meeting, SEGMENT, 0.0)
    assert json.loads(message)["type"] == "transcript"
    assert parse_live(message) == (meeting, SEGMENT)


@pytest.mark.parametrize(
    ("completed", "text", "confirmed", "pending"), [(True, "Hi", 1, 0), (False, "Hi", 0, 1), (False, "", 0, 0)]
)
def test_clients_of_the_managers_render_it(completed: bool, text: str, confirmed: int, pending: int) -> None:
    """A final is added, a draft replaces the speaker's drafts, and one that is taken back leaves none."""
    segment = replace(SEGMENT, completed=completed, text=text)
    message = json.loads(live(7, segment, 1.5))
    assert message["speaker"] == "ana"
    assert message["ts"] == "1970-01-01T00:00:01.500Z"
    assert message["confirmed"] == [segment.as_json()] * confirmed
    assert message["pending"] == [segment.as_json()] * pending


@given(ids, SEGMENTS)
def test_any_segment_reads_back(meeting: int | str, segment: Segment) -> None:
    """Whatever texts, numbers and times it has."""
    assert parse_live(live(meeting, segment, 0.0)) == (meeting, segment)


FULL = json.loads(live(7, replace(SEGMENT, language="en", words=(Word("a", 1.0, 2.0, 0.5),)), 0.0))


@pytest.mark.parametrize(
    ("broken", "named"),
    changed({key: value for key, value in FULL.items() if key != "speaker"}),
)
def test_a_field_of_another_type_is_refused_by_name(broken: Any, named: str) -> None:
    """Every field, at any depth; the error never quotes what stands there."""
    with pytest.raises(ValueError, match=rf"{named}: .*expected") as error:
        parse_live(json.dumps(broken))
    assert "canary" not in str(error.value)


@pytest.mark.parametrize("message", ["[]", "{}", '{"type": "transcript"}', "nothing"])
def test_other_messages_are_refused(message: str) -> None:
    """What is not ours is a ValueError."""
    with pytest.raises(ValueError, match="expected"):
        parse_live(message)
