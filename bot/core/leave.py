"""Leave rules: from what is known of the meeting to the next deadline and its reason."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    """Active, and nobody was ever there: people, not bots."""
    everyone_left: float | None = 120.0
    """Active, and the last participant left."""
    only_bots_left: float | None = 120.0
    """Active, and all people have left but bots have not."""
    silence: float | None = None
    """Active, the bot hears well, and nobody speaks; counts from `silence_after` at the earliest."""
    silence_after: float = 1200.0
    """Active for so long before silence begins to count."""
    lost: float | None = 180.0
    """The connection to the meeting is lost. A platform gives up before that; this is for one that does not."""
    unheeded: float | None = 600.0
    """Speech is sent and no transcriber has ever answered. Like `lost`, it is no rule about who is there."""
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
    lost_since: float | None = None
    """Without a connection to the meeting since: meanwhile nobody knows who is there, or who speaks."""
    alone_since: float | None = None
    """Nobody but us since; as long as no person ever came, bots are nobody."""
    only_bots_since: float | None = None
    """Nobody but bots since."""
    deserted_since: float | None = None
    """Nobody, or nobody but bots, in turns, since."""
    silent_since: float | None = None
    """Hearing well, and nobody speaks, since."""
    unheeded_since: float | None = None
    """Speech is sent, and no transcriber has ever answered, since."""
    had_company: bool = False
    """Some person was there at some time."""

    def nobody_known(self) -> Facts:
        """Who is there cannot be told: no clock of the rules about that runs."""
        return replace(self, alone_since=None, only_bots_since=None, deserted_since=None)

    def counted(self, people: int, bots: int, now: float) -> Facts:
        """So many people and bots are there beside us."""
        if people:
            return replace(self.nobody_known(), had_company=True)
        alone = not (bots and self.had_company)
        return replace(
            self,
            alone_since=_since(self.alone_since, now) if alone else None,
            only_bots_since=None if alone else _since(self.only_bots_since, now),
            deserted_since=_since(self.deserted_since, now),
        )


def _since(known: float | None, now: float) -> float:
    return now if known is None else known


def next_departure(settings: LeaveSettings, facts: Facts) -> tuple[float, SubCode] | None:
    """The earliest moment at which a rule says leave, and the rule's sub-code; None when no rule applies."""
    alone = (
        (settings.everyone_left, SubCode.LEFT_ALONE)
        if facts.had_company
        else (settings.no_one_joined, SubCode.STARTUP_ALONE)
    )
    waiting = SubCode.NEEDS_HELP_TIMEOUT if facts.lobby_since is None else SubCode.LOBBY_TIMEOUT
    deserted = SubCode.LEFT_ALONE if facts.only_bots_since is None else SubCode.ONLY_BOTS_LEFT
    bots_may_stay = _sum(settings.everyone_left, settings.only_bots_left) if facts.had_company else None
    quiet_since = None
    if facts.silent_since is not None and facts.active_since is not None:
        quiet_since = max(facts.silent_since, facts.active_since + settings.silence_after)
    rules = (
        (facts.joining_since, settings.joining, SubCode.JOIN_TIMEOUT),
        (facts.helpless_since, settings.needs_help, SubCode.NEEDS_HELP_TIMEOUT),
        (facts.lobby_since, settings.lobby, SubCode.LOBBY_TIMEOUT),
        (facts.outside_since, _sum(settings.lobby, settings.needs_help), waiting),  # however often they take turns
        (facts.alone_since, *alone),
        (facts.only_bots_since, settings.only_bots_left, SubCode.ONLY_BOTS_LEFT),
        (facts.deserted_since, bots_may_stay, deserted),  # likewise
        (quiet_since, settings.silence, SubCode.SILENCE_TIMEOUT),
        (facts.lost_since, settings.lost, SubCode.CONNECTION_LOST),
        (facts.unheeded_since, settings.unheeded, SubCode.TRANSCRIBER_MUTE),
        (facts.active_since, settings.total, SubCode.LEAVE_TIMEOUT),
        (facts.active_since, settings.cap, SubCode.MAX_DURATION),
    )
    due = [(since + after, code) for since, after, code in rules if since is not None and after is not None]
    return min(due, key=lambda rule: rule[0]) if due else None


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
