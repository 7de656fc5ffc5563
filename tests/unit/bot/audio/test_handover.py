"""What is heard when a room's road changes: each moment once."""

from __future__ import annotations

from collections import Counter
from itertools import count

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.audio.frame import AudioFrame
from bot.audio.handover import HELD_S, MAX_CHANGES, Handover
from bot.core.router import Road
from tests.support.examples import EXAMPLES

FRAME_S = 0.032


def _frame(track: str, at: float) -> AudioFrame:
    return AudioFrame(track, np.zeros(512, np.int16), round(at * 16_000), 1, at)


def test_road_in_charge_is_heard_and_no_other() -> None:
    """At first the tracks are."""
    handover = Handover()
    assert handover.take(Road.PARTICIPANT, _frame("ana", 1.0))
    assert not handover.take(Road.COMPOSITE, _frame("mix", 1.0))


def test_late_road() -> None:
    """What was said before a change is heard on the road before, even where it comes after the change."""
    handover = Handover(Road.COMPOSITE)
    assert handover.change(Road.PARTICIPANT, 10.0) == []
    assert handover.road is Road.PARTICIPANT
    assert handover.take(Road.PARTICIPANT, _frame("ana", 10.1))
    assert handover.take(Road.COMPOSITE, _frame("mix", 9.9))
    assert not handover.take(Road.COMPOSITE, _frame("mix", 10.1))


def test_change_that_lies_in_the_past() -> None:
    """What the new road has had to say since is heard now, in its order, for as long as it was kept."""
    handover = Handover(Road.COMPOSITE)
    for at in (1.0, 8.0, 9.0, 9.5):
        assert not handover.take(Road.PARTICIPANT, _frame("ana", at))
    assert [frame.arrival for frame in handover.change(Road.PARTICIPANT, 0.5)] == [8.0, 9.0, 9.5]
    assert handover.change(Road.COMPOSITE, 10.0) == []
    for at in (10.2, 10.4):
        handover.take(Road.PARTICIPANT, _frame("ana", at))
    assert [frame.arrival for frame in handover.change(Road.PARTICIPANT, 10.3)] == [10.4]


def test_nothing_is_kept_for_longer() -> None:
    """However long a road is not in charge, it has the last seconds only; changes are forgotten, too."""
    handover = Handover()
    for step in range(2000):
        handover.take(Road.COMPOSITE, _frame("mix", step * FRAME_S))
    assert handover.change(Road.COMPOSITE, 0.0)[0].arrival >= 2000 * FRAME_S - HELD_S - FRAME_S
    for step in range(MAX_CHANGES):
        handover.change((Road.PARTICIPANT, Road.COMPOSITE)[step % 2], 100.0 + step)
    assert not handover.take(Road.PARTICIPANT, _frame("ana", 1.0))
    assert not handover.take(Road.COMPOSITE, _frame("mix", 1.0))


@settings(max_examples=4 * EXAMPLES)
@given(
    delay=st.sampled_from([0.0, 0.3, 3.0]),
    changes=st.lists(st.tuples(st.integers(1, 30), st.floats(0.0, 1.0)), max_size=8),
)
def test_each_moment_is_heard_once(delay: float, changes: list[tuple[int, float]]) -> None:
    """Both roads come all the time, the mix late: whenever the road changes, no frame is lost and none heard twice.

    A change lies in the past by less than what is kept: the tracks' frames since then were heard already, which is
    what a change in a pause is for. So they are those that a planned change may hear twice, and no others.
    """
    handover, heard, twice_allowed = Handover(), list[tuple[int, Road]](), set[int]()
    roads = {True: Road.COMPOSITE, False: Road.PARTICIPANT}
    pending = {sum(step for step, _ in changes[: index + 1]): back for index, (_, back) in enumerate(changes)}
    toggle = (roads[index % 2 == 0] for index in count())
    steps, lag = 200, round(delay / FRAME_S)
    for step in range(steps + lag):
        if step < steps and handover.take(Road.PARTICIPANT, _frame("ana", step * FRAME_S)):
            heard.append((step, Road.PARTICIPANT))
        said = step - lag
        if said >= 0 and handover.take(Road.COMPOSITE, _frame("mix", said * FRAME_S)):
            heard.append((said, Road.COMPOSITE))
        if step in pending:
            at = (step - round(pending[step] / FRAME_S)) * FRAME_S
            road = next(toggle)
            if road is Road.COMPOSITE or delay < 1.0:
                twice_allowed |= set(range(round(at / FRAME_S), step + 1))
            heard += [(round(frame.arrival / FRAME_S), road) for frame in handover.change(road, at)]
    moments = Counter(step for step, _ in heard)
    assert set(moments) == set(range(steps))
    doubled = {step for step, times in moments.items() if times > 1}
    assert doubled <= twice_allowed
