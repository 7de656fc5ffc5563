"""Leave rules: from what is known of the meeting to the next deadline and its reason."""

from __future__ import annotations

from dataclasses import dataclass

from common.contracts.status import SubCode


@dataclass(frozen=True, slots=True)
class LeaveSettings:
    """Timeouts in seconds; `None` switches a rule off."""

    joining: float | None = 120.0
    """Joining, and neither a lobby nor admission."""
    needs_help: float | None = 300.0
    """A person is needed and nobody comes."""
    lobby: float | None = 300.0
    """In the lobby without admission."""
    no_one_joined: float | None = 600.0
    """Active, and no person was ever there."""
    everyone_left: float | None = 120.0
    """Active, and the last person left."""
    total: float | None = None
    """Active for this long, whoever is there."""
    cap: float | None = 8 * 3600.0
    """Absolute cap, even with all rules switched off."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules need to know; times are monotonic seconds."""

    joining_since: float | None = None
    """Trying to join since."""
    helpless_since: float | None = None
    """Waiting for a person's help since."""
    lobby_since: float | None = None
    """Waiting for admission since."""
    outside_since: float | None = None
    """Waiting for help or for admission, in turns, since."""
    active_since: float | None = None
    alone_since: float | None = None
    """No person but us since (set at admission into an empty room)."""
    had_company: bool = False
    """Some person was there at some time."""


def next_departure(settings: LeaveSettings, facts: Facts) -> tuple[float, SubCode] | None:
    """The earliest moment at which a rule says leave, and the rule's sub-code; None when no rule applies."""
    alone = (
        (settings.everyone_left, SubCode.LEFT_ALONE)
        if facts.had_company
        else (settings.no_one_joined, SubCode.STARTUP_ALONE)
    )
    waits = None if settings.lobby is None or settings.needs_help is None else settings.lobby + settings.needs_help
    waiting = SubCode.NEEDS_HELP_TIMEOUT if facts.lobby_since is None else SubCode.LOBBY_TIMEOUT
    rules = (
        (facts.joining_since, settings.joining, SubCode.JOIN_TIMEOUT),
        (facts.helpless_since, settings.needs_help, SubCode.NEEDS_HELP_TIMEOUT),
        (facts.lobby_since, settings.lobby, SubCode.LOBBY_TIMEOUT),
        (facts.outside_since, waits, waiting),  # however often they take turns
        (facts.alone_since, *alone),
        (facts.active_since, settings.total, SubCode.LEAVE_TIMEOUT),
        (facts.active_since, settings.cap, SubCode.MAX_DURATION),
    )
    due = [(since + after, code) for since, after, code in rules if since is not None and after is not None]
    return min(due, key=lambda rule: rule[0]) if due else None
