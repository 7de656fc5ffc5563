"""Live messages, built and read."""

from __future__ import annotations

import json

import pytest

from common.contracts.live import live, parse_live
from common.contracts.segments import Segment

SEGMENT = Segment("b:ana:1", 1.0, 2.5, " Hello", "Ana", "ana", None, False, "t0", "t1")


@pytest.mark.parametrize("meeting", ["m", 7])
def test_the_message_names_the_meeting_and_holds_one_segment(meeting: int | str) -> None:
    """Builder and parser are each other's inverse."""
    message = live(meeting, SEGMENT)
    assert json.loads(message)["type"] == "transcript"
    assert parse_live(message) == (meeting, SEGMENT)


@pytest.mark.parametrize("message", ["[]", "{}", '{"type": "transcript"}', "nothing"])
def test_other_messages_are_refused(message: str) -> None:
    """What is not ours is a ValueError."""
    with pytest.raises(ValueError, match=r"expect|Expecting"):
        parse_live(message)
