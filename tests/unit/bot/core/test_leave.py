"""Leave rules, as a table."""

from __future__ import annotations

import pytest

from bot.core.leave import Facts, LeaveSettings, next_departure
from common.contracts.status import SubCode

OFF = LeaveSettings(lobby=None, no_one_joined=None, everyone_left=None, total=None, cap=None)
ALL = LeaveSettings(lobby=10, no_one_joined=20, everyone_left=5, total=100, cap=1000)


@pytest.mark.parametrize(
    ("settings", "facts", "expected"),
    [
        (ALL, Facts(), None),
        (ALL, Facts(joining_since=1), (121, SubCode.JOIN_TIMEOUT)),
        (ALL, Facts(helpless_since=1), (301, SubCode.NEEDS_HELP_TIMEOUT)),
        (ALL, Facts(lobby_since=1), (11, SubCode.LOBBY_TIMEOUT)),
        (ALL, Facts(lobby_since=309, outside_since=1), (311, SubCode.LOBBY_TIMEOUT)),
        (ALL, Facts(helpless_since=309, outside_since=1), (311, SubCode.NEEDS_HELP_TIMEOUT)),
        (OFF, Facts(lobby_since=1, outside_since=1), None),
        (ALL, Facts(active_since=2, alone_since=2), (22, SubCode.STARTUP_ALONE)),
        (ALL, Facts(active_since=2, alone_since=50, had_company=True), (55, SubCode.LEFT_ALONE)),
        (ALL, Facts(active_since=2, had_company=True), (102, SubCode.LEAVE_TIMEOUT)),
        (LeaveSettings(total=None), Facts(active_since=0, had_company=True), (28800, SubCode.MAX_DURATION)),
        (OFF, Facts(lobby_since=1, active_since=2, alone_since=2), None),
    ],
)
def test_rules(settings: LeaveSettings, facts: Facts, expected: tuple[float, SubCode] | None) -> None:
    """Each rule fires at its own time with its own reason, the earliest first."""
    assert next_departure(settings, facts) == expected
