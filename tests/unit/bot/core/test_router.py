"""When a room is heard as an egress, and when on its tracks, on invented clocks."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core.router import (
    ALONE_S,
    BUDGET_TIMEOUT_S,
    COOL_DOWN_S,
    CROWD_S,
    LONGEST_COOL_DOWN_S,
    OVERLAP_TIMEOUT_S,
    PAUSE_TIMEOUT_S,
    PROVEN_S,
    STALL_TIMEOUT_S,
    START_TIMEOUT_S,
    Mode,
    Road,
    Router,
    Stage,
)
from tests.support.examples import EXAMPLES


def _stage(router: Router) -> Stage:
    """Where it stands now; asked anew each time."""
    return router.stage


def _failure(router: Router) -> str | None:
    return router.failure


def _in(stage: Stage, mode: Mode = Mode.AUTO, people: int = 3) -> tuple[Router, float]:
    """A router that has come to a stage by itself, and what time it is."""
    router, now = Router(mode), 0.0
    router.people(people, now)
    router.tick(now := now + CROWD_S)
    if stage is Stage.WAITING:
        return router, now
    router.budget(True, now)
    if stage is Stage.STARTING:
        return router, now
    router.heard(now := now + 1)
    if stage is Stage.OVERLAP:
        return router, now
    router.aligned(now)
    router.pause(now)
    if stage is Stage.COMPOSITE:
        return router, now
    router.people(0, now)
    router.heard(now := now + ALONE_S)
    router.tick(now)
    return router, now


@pytest.mark.parametrize("stage", list(Stage))
def test_what_it_wants_in_each_stage(stage: Stage) -> None:
    """The tracks are in charge until both roads come and there is a pause; then only those of who speaks send."""
    router = Router(Mode.AUTO) if stage is Stage.JOINED else _in(stage)[0]
    assert _stage(router) is stage
    wanted = (router.wants_budget, router.wants_egress, router.hears_tracks, router.road)
    assert (
        wanted
        == {
            Stage.JOINED: (False, False, True, Road.PARTICIPANT),
            Stage.WAITING: (True, False, True, Road.PARTICIPANT),
            Stage.STARTING: (True, True, True, Road.PARTICIPANT),
            Stage.OVERLAP: (True, True, True, Road.PARTICIPANT),
            Stage.COMPOSITE: (True, True, False, Road.COMPOSITE),
            Stage.RETURNING: (True, True, True, Road.COMPOSITE),
        }[stage]
    )


@pytest.mark.parametrize(
    ("mode", "people", "is_wanted"),
    [
        (Mode.AUTO, 0, False), (Mode.AUTO, 1, False), (Mode.AUTO, 2, True),
        (Mode.PARTICIPANT, 9, False), (Mode.COMPOSITE, 0, False), (Mode.COMPOSITE, 1, True),
    ],
)  # fmt: skip
def test_which_rooms_are_worth_an_egress(mode: Mode, people: int, is_wanted: bool) -> None:
    """Several people, who have been there for a while; where one is ordered, one person."""
    router = Router(mode)
    router.people(people, 0)
    router.tick(CROWD_S - 0.1)
    assert not router.wants_budget
    router.tick(CROWD_S)
    assert router.wants_budget is is_wanted


def test_who_comes_and_goes_starts_the_clock_anew() -> None:
    """Enough people are there without a break before anything is asked for."""
    router = Router(Mode.AUTO)
    router.people(2, 0)
    router.people(1, CROWD_S - 1)
    router.people(2, CROWD_S)
    router.people(3, CROWD_S + 1)
    router.tick(2 * CROWD_S - 0.1)
    assert _stage(router) is Stage.JOINED
    router.tick(2 * CROWD_S)
    assert _stage(router) is Stage.WAITING


def test_nothing_is_free() -> None:
    """It waits for its turn, heard on the tracks; who is alone by then gives it up."""
    router, now = _in(Stage.WAITING)
    router.budget(False, now)
    router.tick(now + 3600)
    assert (router.stage, router.failure) == (Stage.WAITING, None)
    router.people(1, now + 3600)
    assert _stage(router) is Stage.JOINED


@pytest.mark.parametrize("stage", [Stage.STARTING, Stage.OVERLAP, Stage.COMPOSITE, Stage.RETURNING])
def test_egress_or_budget_that_is_gone(stage: Stage) -> None:
    """The tracks are in charge at once, and no other egress is asked for until it has cooled down, longer each time."""
    router, now = _in(stage)
    router.failed("gone", now)
    if stage is Stage.RETURNING:
        router.people(3, now - CROWD_S)
    for pause in (COOL_DOWN_S, 2 * COOL_DOWN_S, 4 * COOL_DOWN_S):
        assert (router.stage, router.road, router.hears_tracks) == (Stage.JOINED, Road.PARTICIPANT, True)
        router.tick(now + pause - 0.1)
        assert _stage(router) is Stage.JOINED
        router.tick(now := now + pause)
        assert _stage(router) is Stage.WAITING
        router.budget(True, now)
        router.budget(False, now)  # lost
    for _ in range(20):
        router.tick(now := now + LONGEST_COOL_DOWN_S)
        router.budget(True, now)
        router.failed("again", now)
    assert _stage(router) is Stage.JOINED


def test_egress_that_was_good_for_long() -> None:
    """Its failure is the first in a row."""
    router, now = _in(Stage.COMPOSITE)
    router.failed("gone", now)
    router.tick(now := now + COOL_DOWN_S)
    router.budget(True, now)
    router.heard(now)
    router.aligned(now)
    router.aligned(now + 1)
    router.pause(now)
    router.heard(now := now + PROVEN_S)
    router.failed("gone", now)
    router.tick(now + COOL_DOWN_S)
    assert _stage(router) is Stage.WAITING


def test_a_failure_of_nothing() -> None:
    """Without an egress nothing can fail, and none that is late counts."""
    router, now = _in(Stage.WAITING)
    router.failed("late", now)
    router.budget(False, now)
    router.heard(now)
    router.pause(now)
    assert _stage(router) is Stage.WAITING


def test_egress_that_never_starts() -> None:
    """It is given up."""
    router, now = _in(Stage.STARTING)
    router.tick(now + START_TIMEOUT_S - 0.1)
    assert _stage(router) is Stage.STARTING
    router.tick(now + START_TIMEOUT_S)
    assert (router.stage, router.failure) == (Stage.JOINED, None)


@pytest.mark.parametrize("stage", [Stage.OVERLAP, Stage.COMPOSITE, Stage.RETURNING])
def test_egress_that_falls_silent(stage: Stage) -> None:
    """Without sound, silence would be one, it is gone."""
    router, now = _in(stage)
    router.heard(now)
    router.tick(now + STALL_TIMEOUT_S - 0.1)
    assert _stage(router) is stage
    router.tick(now + STALL_TIMEOUT_S)
    assert _stage(router) is Stage.JOINED


def test_mix_that_cannot_be_laid_over_the_tracks() -> None:
    """Where nobody speaks for long the egress is given up, as nobody could say later who spoke."""
    router, now = _in(Stage.OVERLAP)
    router.pause(now)
    assert _stage(router) is Stage.OVERLAP
    router.heard(end := now + OVERLAP_TIMEOUT_S)
    router.tick(end - 0.1)
    assert _stage(router) is Stage.OVERLAP
    router.tick(end)
    assert _stage(router) is Stage.JOINED


def test_no_pause() -> None:
    """Where somebody always speaks the road changes in mid-speech in the end, forth and back."""
    router, now = _in(Stage.OVERLAP)
    router.aligned(now)
    router.heard(now := now + PAUSE_TIMEOUT_S)
    router.tick(now - 0.1)
    assert _stage(router) is Stage.OVERLAP
    router.tick(now)
    assert _stage(router) is Stage.COMPOSITE
    router.people(1, now)
    router.heard(now := now + ALONE_S)
    router.tick(now)
    assert _stage(router) is Stage.RETURNING
    router.heard(now + PAUSE_TIMEOUT_S)
    router.tick(now + PAUSE_TIMEOUT_S - 0.1)
    assert _stage(router) is Stage.RETURNING
    router.tick(now + PAUSE_TIMEOUT_S)
    assert _stage(router) is Stage.JOINED


def test_people_who_come_back() -> None:
    """While it returns to the tracks, the egress stays in charge if it is wanted again."""
    router, now = _in(Stage.RETURNING)
    router.people(2, now)
    assert (router.stage, router.road) == (Stage.COMPOSITE, Road.COMPOSITE)


@pytest.mark.parametrize("stage", [Stage.STARTING, Stage.OVERLAP])
def test_people_who_leave_before_it_is_in_charge(stage: Stage) -> None:
    """It is given up without ceremony once nobody has come back."""
    router, now = _in(stage)
    router.people(1, now)
    router.heard(now + ALONE_S)
    router.tick(now + ALONE_S - 0.1)
    assert router.wants_egress
    router.tick(now + ALONE_S)
    assert _stage(router) is Stage.JOINED


def test_planned_return() -> None:
    """Alone again it goes back to the tracks in a pause, and no cool-down follows."""
    router, now = _in(Stage.RETURNING)
    router.pause(now)
    assert (router.stage, router.road) == (Stage.JOINED, Road.PARTICIPANT)
    router.people(2, now)
    router.tick(now + CROWD_S)
    assert _stage(router) is Stage.WAITING


@pytest.mark.parametrize("stage", [Stage.JOINED, Stage.WAITING, Stage.STARTING, Stage.OVERLAP, Stage.COMPOSITE])
def test_room_that_no_egress_can_hear(stage: Stage) -> None:
    """What is end-to-end encrypted is heard on its tracks, until it is not any more."""
    router, now = (Router(Mode.AUTO), 0.0) if stage is Stage.JOINED else _in(stage)
    router.people(3, now)
    router.obstacle("encrypted", now)
    router.tick(now + 3600)
    assert (router.stage, router.failure) == (Stage.JOINED, None)
    router.obstacle("", now + 3600)
    assert _stage(router) is Stage.WAITING


def test_ordered_egress_that_cannot_be_had() -> None:
    """`mode: composite` fails the bot: nothing free, refused, or a room that an egress cannot hear."""
    router, now = _in(Stage.WAITING, Mode.COMPOSITE)
    router.tick(now + BUDGET_TIMEOUT_S - 0.1)
    assert not router.failure
    router.tick(now + BUDGET_TIMEOUT_S)
    assert _failure(router) == "no egress was free within 30 s"
    router, now = _in(Stage.STARTING, Mode.COMPOSITE)
    router.failed("refused", now)
    assert router.failure == "refused"
    encrypted = Router(Mode.COMPOSITE)
    encrypted.obstacle("encrypted", 0)
    assert encrypted.failure == "encrypted"


def test_ordered_egress_that_drops_out() -> None:
    """In mid-meeting `mode: composite` goes on on the tracks, and asks again."""
    router, now = _in(Stage.COMPOSITE, Mode.COMPOSITE)
    router.failed("gone", now)
    router.tick(now := now + COOL_DOWN_S)
    assert (router.stage, router.failure) == (Stage.WAITING, None)
    router.tick(now + 2 * BUDGET_TIMEOUT_S)
    assert router.failure is None
    router.budget(True, now)
    router.failed("refused", now)
    router.obstacle("encrypted", now)
    assert router.failure is None


@dataclass
class _World:
    """A room, its egress and all bots' budget, as a router meets them: scripted by chance."""

    router: Router
    now: float = 0.0
    people: int = 0
    has_budget: bool = False
    is_running: bool = False  # the egress, with sound
    is_loud: bool = False
    unheard_since: float | None = None
    longest: float = 0.0
    overlap: list[Stage] = field(default_factory=list)

    def step(self, what: str, seconds: float) -> None:
        match what:
            case "come":
                self.people += 1
                self.router.people(self.people, self.now)
            case "go":
                self.people = max(self.people - 1, 0)
                self.router.people(self.people, self.now)
            case "grant" | "revoke":
                self.has_budget = what == "grant"
            case "start":
                self.is_running = self.router.wants_egress
            case "stop":
                self.is_running = False
            case "refuse":
                self.router.failed("refused", self.now)
            case "align":
                if self.router.stage is Stage.OVERLAP:
                    self.router.aligned(self.now)
            case "talk":
                self.is_loud = True
            case "quiet":
                self.is_loud = False
            case "encrypt" | "decrypt":
                self.router.obstacle("encrypted" if what == "encrypt" else "", self.now)
        end = self.now + seconds
        while self.now < end:
            self.now += 0.5
            self.look()

    def look(self) -> None:
        router = self.router
        if router.wants_budget:
            router.budget(self.has_budget, self.now)
        self.is_running &= router.wants_egress
        if self.is_running:
            router.heard(self.now)
        before = router.road
        if not self.is_loud:
            router.pause(self.now)
        router.tick(self.now)
        if before is Road.PARTICIPANT and router.road is Road.COMPOSITE:
            assert self.is_running, "the mix took charge without a sound"
        is_heard = router.hears_tracks if router.road is Road.PARTICIPANT else self.is_running
        self.unheard_since = None if is_heard else self.unheard_since or self.now
        if self.unheard_since is not None:
            self.longest = max(self.longest, self.now - self.unheard_since)
        assert not (router.wants_egress and not router.wants_budget)
        assert router.mode is not Mode.PARTICIPANT or router.stage is Stage.JOINED


STEPS = ("come", "go", "grant", "revoke", "start", "stop", "refuse", "align", "talk", "quiet", "encrypt", "decrypt", "")


@settings(max_examples=5 * EXAMPLES)
@given(
    mode=st.sampled_from(Mode),
    walk=st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from([0.0, 0.5, 3.0, 10.0, 40.0, 130.0])), max_size=40),
)
def test_walks(mode: Mode, walk: list[tuple[str, float]]) -> None:
    """Whatever happens, one road is in charge, and it is never without sound for longer than it takes to be sure."""
    world = _World(Router(mode))
    for step in walk:
        world.step(*step)
    assert world.longest <= STALL_TIMEOUT_S


def test_walk_to_an_egress_and_back() -> None:
    """The walks above can reach every stage: this one does."""
    world = _World(Router(Mode.AUTO))
    for step in [("come", 0), ("come", 6), ("grant", 1), ("start", 1), ("align", 1)]:
        world.step(*step)
    assert _stage(world.router) is Stage.COMPOSITE
    world.step("talk", 1)
    world.step("go", ALONE_S + 1)
    assert _stage(world.router) is Stage.RETURNING
    world.step("quiet", 1)
    assert _stage(world.router) is Stage.JOINED
