"""Values of no kind that is allowed where several are."""

from __future__ import annotations

import pytest

from tests.unit.bot.config.test_loading import problems


@pytest.mark.parametrize("room", [1.5, True, [1], {"a": 1}, None])
def test_a_value_of_no_kind_that_is_allowed_is_a_problem(room: object) -> None:
    """Where a number or a text may stand, whatever else does."""
    given = {"platform": "janus", "meetingUrl": "janus+ws://janus:8188", "janus": {"room": room}}
    assert any(path.startswith("janus.room") for path in problems(given))
