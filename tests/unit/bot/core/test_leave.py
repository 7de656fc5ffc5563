"""Leave rules, as a table."""

from __future__ import annotations

from dataclasses import fields

import pytest

from bot.core.leave import Facts, LeaveSettings, next_departure
from common.contracts.status import SubCode

OFF = LeaveSettings(
    lobby=None, no_one_joined=None, everyone_left=None, only_bots_left=None, lost=None, unheeded=None, cap=None
)
ALL = LeaveSettings(
    lobby=10,
    no_one_joined=20,
    everyone_left=5,
    only_bots_left=7,
    silence=30,
    silence_after=40,
    lost=90,
    unheeded=80,
    total=100,
    cap=1000,
)


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
        (ALL, Facts(only_bots_since=3, deserted_since=3, had_company=True), (10, SubCode.ONLY_BOTS_LEFT)),
        (ALL, Facts(only_bots_since=9, deserted_since=1, had_company=True), (13, SubCode.ONLY_BOTS_LEFT)),
        (ALL, Facts(alone_since=12, deserted_since=1, had_company=True), (13, SubCode.LEFT_ALONE)),
        (ALL, Facts(active_since=2, silent_since=3, had_company=True), (72, SubCode.SILENCE_TIMEOUT)),
        (ALL, Facts(active_since=2, silent_since=50, had_company=True), (80, SubCode.SILENCE_TIMEOUT)),
        (ALL, Facts(silent_since=50), None),
        (ALL, Facts(active_since=2, lost_since=8, had_company=True), (98, SubCode.CONNECTION_LOST)),
        (ALL, Facts(active_since=2, unheeded_since=8, had_company=True), (88, SubCode.TRANSCRIBER_MUTE)),
        (
            OFF,
            Facts(lobby_since=1, active_since=2, alone_since=2, silent_since=2, lost_since=2, unheeded_since=2),
            None,
        ),
    ],
)
def test_rules(settings: LeaveSettings, facts: Facts, expected: tuple[float, SubCode] | None) -> None:
    """Each rule fires at its own time with its own reason, the earliest first."""
    assert next_departure(settings, facts) == expected


def test_no_clock_about_who_is_there_runs_blind() -> None:
    """Where nobody can be counted all stop, a new one too, but for those about what is known without."""
    everything = Facts(**{fact.name: 1.0 for fact in fields(Facts)})  # type: ignore[arg-type]
    still = {fact.name for fact in fields(Facts) if getattr(everything.nobody_known(), fact.name) is not None}
    waiting = {"joining_since", "helpless_since", "lobby_since", "outside_since", "lost_since"}
    assert still == waiting | {"active_since", "silent_since", "unheeded_since", "had_company"}


def test_bots_alone_are_nobody_until_a_person_came() -> None:
    """Before that the clock of "nobody joined" runs through their comings and goings, after it each has its own."""
    facts = Facts().counted(0, 0, 1).counted(0, 2, 2)
    assert (facts.alone_since, facts.only_bots_since, facts.had_company) == (1, None, False)
    facts = facts.counted(1, 2, 3)
    assert (facts.alone_since, facts.only_bots_since, facts.deserted_since) == (None, None, None)
    facts = facts.counted(0, 2, 4).counted(0, 1, 5)
    assert (facts.alone_since, facts.only_bots_since, facts.deserted_since) == (None, 4, 4)
    facts = facts.counted(0, 0, 6)
    assert (facts.alone_since, facts.only_bots_since, facts.deserted_since) == (6, None, 4)
    assert facts.nobody_known() == Facts(had_company=True)
