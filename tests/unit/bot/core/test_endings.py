"""Ends after what failed on the way to them."""

from __future__ import annotations

import pytest

from bot.core.effects import Finish
from bot.core.endings import with_late, with_missing
from common.contracts.status import SubCode

LEFT = Finish(SubCode.LEFT_BY_COMMAND)
BUG = Finish(SubCode.INTERNAL_ERROR, "a bug")
ANOTHER = Finish(SubCode.DUPLICATE_BOT)
DOWN = Finish(SubCode.REDIS_UNREACHABLE, "redis: refused")


@pytest.mark.parametrize(
    ("finish", "late", "expected"),
    [
        (LEFT, None, LEFT),
        (LEFT, BUG, BUG),
        (LEFT, ANOTHER, ANOTHER),
        (DOWN, BUG, DOWN),
        (BUG, ANOTHER, ANOTHER),
    ],
)
def test_a_late_failure_makes_an_end_a_failed_one(finish: Finish, late: Finish | None, expected: Finish) -> None:
    """One that says of itself that something failed stays; another bot's lock goes before everything."""
    assert with_late(finish, late) is expected


def test_what_is_not_stored_is_said() -> None:
    """How many entries, and how the meeting had ended otherwise; ends that say it already stay as they are."""
    assert with_missing(LEFT, 0) is LEFT
    told = with_missing(LEFT, 3)
    assert (told.code, told.detail) == (
        SubCode.NOT_STORED,
        "3 entries could not be stored; the meeting had ended with left_by_command",
    )
    detailed = with_missing(Finish(SubCode.CONNECTION_LOST, "gone"), 1)
    assert detailed.detail.endswith("connection_lost: gone")
    for known in (BUG, ANOTHER, DOWN, told):
        assert with_missing(known, 2) is known
