"""The most urgent pass goes first, one per stream at a time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from transcriber.core.policy import DELAYS, Kind, Want
from transcriber.core.scheduler import Scheduler


def test_finals_go_before_first_partials_before_partials_then_by_deadline() -> None:
    """The order of asking does not matter."""
    scheduler = Scheduler[str]()
    scheduler.offer("partial", Want(Kind.PARTIAL, 1))
    scheduler.offer("late final", Want(Kind.FINAL, 9))
    scheduler.offer("pause", Want(Kind.EAGER_FINAL, 0))
    scheduler.offer("first", Want(Kind.FIRST_PARTIAL, 2))
    scheduler.offer("final", Want(Kind.FINAL, 8))
    assert scheduler.waiting == 5
    taken = [[stream for stream, _ in scheduler.next()] for _ in range(6)]
    assert taken == [["final"], ["late final"], ["pause"], ["first"], ["partial"], []]


def test_a_stream_has_one_pass_under_way() -> None:
    """Its next one waits; an offer replaces the one before, and can be withdrawn."""
    scheduler = Scheduler[str]()
    scheduler.offer("a", Want(Kind.PARTIAL, 1))
    assert scheduler.next() == [("a", Want(Kind.PARTIAL, 1))]
    scheduler.offer("a", Want(Kind.PARTIAL, 2))
    scheduler.offer("a", Want(Kind.FINAL, 3))
    assert scheduler.shed == 1
    assert scheduler.next() == []
    scheduler.done("a")
    assert scheduler.next() == [("a", Want(Kind.FINAL, 3))]
    scheduler.done("a")
    scheduler.offer("a", Want(Kind.PARTIAL, 4))
    scheduler.offer("a", None)
    assert scheduler.next() == []


def test_passes_of_one_kind_go_together() -> None:
    """At most so many; never with one that may make the engine fail."""
    scheduler = Scheduler[int]()
    for stream in range(5):
        scheduler.offer(stream, Want(Kind.FINAL, stream, alone=stream == 1))
    scheduler.offer(9, Want(Kind.EAGER_FINAL, 0))
    taken = [[stream for stream, _ in scheduler.next(3)] for _ in range(5)]
    assert taken == [[0, 2, 3], [1], [4], [9], []]


def test_how_long_the_oldest_waits() -> None:
    """Recordings may wait for ever."""
    scheduler = Scheduler[str]()
    assert scheduler.oldest(5) == 0
    scheduler.offer("recording", Want(Kind.BACKGROUND, 1))
    scheduler.offer("live", Want(Kind.FINAL, 3 + DELAYS[Kind.FINAL]))
    assert scheduler.oldest(5) == 2


@given(
    st.dictionaries(st.integers(), st.builds(Want, st.sampled_from(Kind), st.floats(0, 10), st.booleans()), max_size=20)
)
def test_everybody_is_served_in_order(offers: dict[int, Want]) -> None:
    """All of them, none twice, each no more urgent than the one before; together only what may be."""
    scheduler = Scheduler[int]()
    for stream, want in offers.items():
        scheduler.offer(stream, want)
    taken = []
    while group := scheduler.next(4):
        taken += group
        assert len({want.kind for _, want in group}) == 1
        assert len(group) == 1 or not any(want.alone for _, want in group)
    assert dict(taken) == offers
    assert [want.kind for _, want in taken] == sorted(want.kind for want in offers.values())
