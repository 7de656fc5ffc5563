"""What a manager is still to be told: its order, each status once, one end."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from bot.core.callback_plan import CallbackPlan, Step
from bot.core.lifecycle import MOVES as OUR_MOVES
from common.contracts.events import StatusEvent
from common.contracts.generations import MOVES, Generation
from common.contracts.status import MEANINGS, State, SubCode

V6, V10, V12 = Generation.V6, Generation.V10, Generation.V12


def event(status: State, code: SubCode | None = None, at: str = "") -> StatusEvent:
    """An event of our bot."""
    return StatusEvent("bot-1", 1, None, status, at or status, code=code)


def drain(plan: CallbackPlan) -> list[Step]:
    """Takes every step."""
    steps = []
    while step := plan.next:
        steps.append(step)
        plan.settled()
    return steps


def test_a_meeting_is_told_as_it_goes() -> None:
    """Each status when it comes; the end counts once."""
    assert CallbackPlan(V12).next is None
    plan = CallbackPlan(V12)
    for state in (State.JOINING, State.AWAITING_ADMISSION, State.ACTIVE):
        plan.report(event(state))
    plan.report(event(State.ACTIVE))
    endings = [plan.is_ending]
    plan.report(event(State.COMPLETED, SubCode.MEETING_ENDED))
    plan.report(event(State.FAILED, SubCode.INTERNAL_ERROR))
    endings.append(plan.is_ending)
    steps = drain(plan)
    assert [step.state for step in steps] == ["joining", "awaiting_admission", "active", "completed"]
    assert [step.is_end for step in steps] == [False, False, False, True]
    assert steps[-1].was_active
    assert [*endings, plan.is_ending] == [False, True, False]


def test_a_start_that_fails_is_told_in_the_managers_order() -> None:
    """v0.12 answers `failed` at first with 409."""
    plan = CallbackPlan(V12)
    plan.report(event(State.FAILED, SubCode.REDIS_UNREACHABLE))
    steps = drain(plan)
    assert [(step.state, step.is_end, step.was_active) for step in steps] == [
        ("joining", False, False),
        ("failed", True, False),
    ]


def test_what_has_no_place_is_not_said() -> None:
    """Put back into the lobby and let in again: for the manager the bot is in the meeting."""
    plan = CallbackPlan(V10)
    for state in (State.JOINING, State.AWAITING_ADMISSION, State.ACTIVE, State.AWAITING_ADMISSION, State.ACTIVE):
        plan.report(event(state))
    assert [step.state for step in drain(plan)] == ["joining", "awaiting_admission", "active"]


def test_hurry_takes_the_shortest_way_to_the_end() -> None:
    """From what was told; states on the way keep the times at which they came."""
    for generation, expected in ((V6, ["completed"]), (V12, ["active", "completed"])):
        plan = CallbackPlan(generation)
        plan.hurry()
        plan.report(event(State.JOINING))
        plan.settled()
        plan.report(event(State.AWAITING_ADMISSION))
        plan.report(event(State.ACTIVE, at="then"))
        plan.hurry()
        assert plan.next is not None
        assert plan.next.state is State.AWAITING_ADMISSION, "no end, no hurry"
        plan.report(event(State.COMPLETED, SubCode.LEFT_BY_COMMAND, at="now"))
        plan.hurry()
        steps = drain(plan)
        assert [step.state for step in steps] == expected
        assert [step.event.timestamp for step in steps] == ["then", "now"][-len(expected) :]


def test_what_a_manager_failed_at_is_no_place_to_go_on_from() -> None:
    """It was away while the bot was admitted: the end is told from where its row stands, by way of the meeting."""
    plan = CallbackPlan(V12)
    plan.report(event(State.JOINING))
    plan.settled()
    for state in (State.AWAITING_ADMISSION, State.ACTIVE):
        plan.report(event(state, at="then"))
        plan.settled(taken=False)
    plan.report(event(State.COMPLETED, SubCode.LEFT_ALONE, at="now"))
    steps = drain(plan)
    assert [(step.state, step.event.timestamp) for step in steps] == [("active", "then"), ("completed", "now")]


def test_an_end_without_a_place_is_told_once_more_by_the_way_that_has_one() -> None:
    """v0.12 took no `active`, so it takes no `completed`: the end is a failure there, said once."""
    plan = CallbackPlan(V12)
    plan.report(event(State.JOINING))
    plan.settled()
    plan.report(event(State.ACTIVE))
    plan.settled(taken=False)
    plan.report(event(State.COMPLETED, SubCode.LEFT_ALONE))
    told = []
    while step := plan.next:
        told.append((step.state, step.was_active))
        plan.settled(taken=False)
    assert told == [("active", True), ("completed", True), ("failed", False)]


def test_who_takes_nothing_is_not_asked_for_ever() -> None:
    """A key that is wrong, a route that is not there: the end by its way, once more by the other, and no more."""
    plan = CallbackPlan(V12)
    for state in (State.JOINING, State.AWAITING_ADMISSION, State.ACTIVE):
        plan.report(event(state))
        while plan.next:
            plan.settled(taken=False)
    plan.report(event(State.COMPLETED, SubCode.MEETING_ENDED))
    plan.hurry()
    told: list[str] = []
    while (step := plan.next) and len(told) < 20:
        told.append(step.state)
        plan.settled(taken=False)
    assert told == ["joining", "active", "completed", "joining", "failed"]


@st.composite
def lives(draw: st.DrawFn) -> list[StatusEvent]:
    """What our bot may say: any way through its lifecycle, and any end."""
    state, said = State.JOINING, [event(State.JOINING)]
    for choice in draw(st.lists(st.integers(0, 5), max_size=8)):
        following = sorted(OUR_MOVES[state] - {State.COMPLETED, State.FAILED})
        state = following[choice % len(following)]
        said.append(event(state))
    code = draw(st.sampled_from(SubCode))
    return [*said, event(State.COMPLETED if MEANINGS[code].completed else State.FAILED, code)]


PACES = st.lists(st.booleans(), max_size=20)
"""How a manager fares: with each step in its turn."""


@given(st.sampled_from(Generation), lives(), PACES, st.booleans())
def test_a_manager_that_is_well_at_the_end_takes_it(
    generation: Generation, life: list[StatusEvent], well: list[bool], knows_meetings: bool
) -> None:
    """Whatever it failed at before, and even where it takes no `active` of ours."""
    plan, pace = CallbackPlan(generation), iter(well)
    row: State | None = None

    def tell(is_well: bool) -> None:
        nonlocal row
        assert plan.next is not None
        to = plan.next.state
        is_taken = is_well and to in MOVES[generation].get(row, ()) and (knows_meetings or to is not State.ACTIVE)
        row = to if is_taken else row
        plan.settled(is_taken)

    for said in life:
        while plan.next and (is_well := next(pace, None)) is not None:
            tell(is_well)
        plan.report(said)
    plan.hurry()
    for _ in range(8):
        if plan.next:
            tell(True)
    assert plan.next is None
    assert row in (State.COMPLETED, State.FAILED)


@given(st.sampled_from(Generation), lives(), PACES, st.booleans())
def test_whatever_happens_only_legal_moves_are_told_and_one_end(
    generation: Generation, life: list[StatusEvent], settled: list[bool], hurried: bool
) -> None:
    """Any way through our own lifecycle, any pace of the manager, in a hurry or not."""
    plan, pace = CallbackPlan(generation), iter(settled)
    told: list[Step] = []
    for said in life:
        while plan.next and next(pace, False):
            told.append(plan.next)
            plan.settled()
        plan.report(said)
    if hurried:
        plan.hurry()
    told += drain(plan)
    states = [None, *(step.state for step in told)]
    for before, after in itertools.pairwise(states):
        assert after in MOVES[generation][before]
    assert [step.is_end for step in told].count(True) == 1
    assert told[-1].is_end
