"""The most urgent pass goes first, one per stream at a time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from transcriber.core.policy import Kind, Want
from transcriber.core.scheduler import Scheduler


def test_finals_go_before_first_partials_before_partials_then_by_deadline() -> None:
    """The order of asking does not matter."""
    scheduler = Scheduler[str]()
    scheduler.offer("partial", Want(Kind.PARTIAL, 1))
    scheduler.offer("late final", Want(Kind.FINAL, 9))
    scheduler.offer("first", Want(Kind.FIRST_PARTIAL, 2))
    scheduler.offer("final", Want(Kind.FINAL, 8))
    assert scheduler.waiting == 4
    taken = [scheduler.next() for _ in range(5)]
    assert [offer and offer[0] for offer in taken] == ["final", "late final", "first", "partial", None]


def test_a_stream_has_one_pass_under_way() -> None:
    """Its next one waits; an offer replaces the one before, and can be withdrawn."""
    scheduler = Scheduler[str]()
    scheduler.offer("a", Want(Kind.PARTIAL, 1))
    assert scheduler.next() == ("a", Want(Kind.PARTIAL, 1))
    scheduler.offer("a", Want(Kind.PARTIAL, 2))
    scheduler.offer("a", Want(Kind.FINAL, 3))
    assert scheduler.next() is None
    scheduler.done("a")
    assert scheduler.next() == ("a", Want(Kind.FINAL, 3))
    scheduler.done("a")
    scheduler.offer("a", Want(Kind.PARTIAL, 4))
    scheduler.offer("a", None)
    assert scheduler.next() is None


@given(st.dictionaries(st.integers(), st.builds(Want, st.sampled_from(Kind), st.floats(0, 10)), max_size=20))
def test_everybody_is_served_in_order(offers: dict[int, Want]) -> None:
    """All of them, none twice, each no more urgent than the one before."""
    scheduler = Scheduler[int]()
    for stream, want in offers.items():
        scheduler.offer(stream, want)
    taken = []
    while offer := scheduler.next():
        taken.append(offer)
    assert dict(taken) == offers
    assert [want for _, want in taken] == sorted(offers.values())
