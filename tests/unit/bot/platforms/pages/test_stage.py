"""Stages: which of the signs counts where several are there, and that nothing but a proof means inside."""

from __future__ import annotations

from itertools import combinations

import pytest

from bot.platforms.pages.look import Look, Seen, Spot
from bot.platforms.pages.pack import CONTROLS, SIGNS
from bot.platforms.pages.stage import Stage, stage

SPOT = Spot(1, 1)
ANA = Seen("a", "Ana")
OUTSIDE = set(SIGNS) - {"inside", "left", "blocked"}
"""Signs that say, each alone, that we are not in the meeting, or not yet or not now."""


def at(
    *signs: str,
    controls: tuple[str, ...] = (),
    people: tuple[Seen, ...] = (),
    joined: bool | None = None,
    prove: bool = False,
) -> Stage:
    """The stage of such a page."""
    look = Look("meet.example.com", frozenset(signs), dict.fromkeys(controls, SPOT), people, joined=joined)
    return stage(look, ("login.example.com",), prove)


@pytest.mark.parametrize(
    ("signs", "means"),
    [
        ((), Stage.UNKNOWN),
        (("lobby",), Stage.LOBBY),
        (("not_started", "lobby"), Stage.NOT_STARTED),
        (("captcha", "denied", "blocked"), Stage.CAPTCHA),
        (("bots_refused", "sign_in"), Stage.BOTS_REFUSED),
        (("denied", "lobby"), Stage.DENIED),
        (("removed", "inside"), Stage.REMOVED),
        (("ended", "inside"), Stage.ENDED),
        (("unanswered",), Stage.UNANSWERED),
        (("consent", "inside"), Stage.CONSENT),
        (("blocked",), Stage.BLOCKED),
        (("blocked", "left"), Stage.LEFT),
        (("reconnecting", "inside"), Stage.RECONNECTING),
        (("inside",), Stage.INSIDE),
        (("inside", "left"), Stage.INSIDE),
        (("full",), Stage.FULL),
        (("not_found",), Stage.NOT_FOUND),
        (("passcode_refused",), Stage.PASSCODE_REFUSED),
        (("sign_in",), Stage.SIGN_IN),
    ],
)
def test_which_sign_counts(signs: tuple[str, ...], means: Stage) -> None:
    """The order of trust."""
    assert at(*signs) is means


def test_no_control_proves_anything() -> None:
    """A button that leaves, devices and the chat are in lobbies, too."""
    others = tuple(set(CONTROLS) - {"join", "name", "passcode"})
    assert at(controls=others) is Stage.UNKNOWN
    assert at("lobby", controls=others) is Stage.LOBBY


def test_whoever_is_in_doubt_is_outside() -> None:
    """With any sign of being outside beside any others, a proof proves nothing."""
    for one in OUTSIDE:
        for other in SIGNS:
            assert at("inside", one, other, people=(ANA,), prove=True) is not Stage.INSIDE, (one, other)


def test_a_door_in_the_meeting_is_a_door() -> None:
    """A page that asks once more after admission is not through; a field alone is no door in a meeting."""
    assert at("inside", controls=("join",)) is Stage.DOOR
    assert at("inside", controls=("name", "passcode")) is Stage.INSIDE
    assert at(controls=("name",)) is at(controls=("passcode",)) is at(controls=("join",)) is Stage.DOOR


def test_tiles_prove_where_the_pack_says_so() -> None:
    """Somebody's tile, but only then."""
    assert at(people=(ANA,)) is Stage.UNKNOWN
    assert at(people=(ANA,), prove=True) is Stage.INSIDE


def test_a_host_that_wants_an_account() -> None:
    """And those below it; whatever else is there."""
    for host in ("login.example.com", "eu.login.example.com"):
        assert stage(Look(host, frozenset({"inside"})), ("login.example.com",)) is Stage.SIGN_IN
    assert stage(Look("notlogin.example.com", frozenset({"inside"})), ("login.example.com",)) is Stage.INSIDE


def test_the_pages_own_word() -> None:
    """Joined goes before what is left of the lobby, not before removal; not joined is never inside."""
    assert at(joined=True) is Stage.INSIDE
    assert at("lobby", joined=True) is Stage.INSIDE
    assert at("reconnecting", joined=True) is Stage.RECONNECTING
    assert at("removed", "reconnecting", joined=True) is Stage.REMOVED
    assert at("captcha", joined=True) is Stage.CAPTCHA
    for signs in combinations(SIGNS, 2):
        assert at(*signs, people=(ANA,), joined=False, prove=True) is not Stage.INSIDE
