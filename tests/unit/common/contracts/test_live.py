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
    message = live(meeting, SEGMENT)
    assert json.loads(message)["type"] == "transcript"
    assert parse_live(message) == (meeting, SEGMENT)


@given(ids, SEGMENTS)
def test_any_segment_reads_back(meeting: int | str, segment: Segment) -> None:
    """Whatever texts, numbers and times it has."""
    assert parse_live(live(meeting, segment)) == (meeting, segment)


@pytest.mark.parametrize(
    ("broken", "named"),
    changed(json.loads(live(7, replace(SEGMENT, language="en", words=(Word("a", 1.0, 2.0, 0.5),))))),
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
