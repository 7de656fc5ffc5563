"""The most urgent pass goes first, one per stream at a time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from transcriber.core.policy import RESULT_DELAYS_S, DecodeRequest, PassKind
from transcriber.core.scheduler import Scheduler


def test_finals_go_before_first_partials_before_partials_then_by_deadline() -> None:
    """The order of asking does not matter."""
    scheduler = Scheduler[str]()
    scheduler.submit("partial", DecodeRequest(PassKind.PARTIAL, 1))
    scheduler.submit("late final", DecodeRequest(PassKind.FINAL, 9))
    scheduler.submit("pause", DecodeRequest(PassKind.EAGER_FINAL, 0))
    scheduler.submit("first", DecodeRequest(PassKind.FIRST_PARTIAL, 2))
    scheduler.submit("final", DecodeRequest(PassKind.FINAL, 8))
    assert scheduler.waiting == 5
    taken = [[stream for stream, _ in scheduler.take()] for _ in range(6)]
    assert taken == [["final"], ["late final"], ["pause"], ["first"], ["partial"], []]


def test_a_stream_has_one_pass_under_way() -> None:
    """Its next one waits; a request replaces the one before, and can be withdrawn."""
    scheduler = Scheduler[str]()
    scheduler.submit("a", DecodeRequest(PassKind.PARTIAL, 1))
    assert scheduler.take() == [("a", DecodeRequest(PassKind.PARTIAL, 1))]
    scheduler.submit("a", DecodeRequest(PassKind.PARTIAL, 2))
    scheduler.submit("a", DecodeRequest(PassKind.FINAL, 3))
    assert scheduler.shed == 1
    assert scheduler.take() == []
    scheduler.done("a")
    assert scheduler.take() == [("a", DecodeRequest(PassKind.FINAL, 3))]
    scheduler.done("a")
    scheduler.submit("a", DecodeRequest(PassKind.PARTIAL, 4))
    scheduler.submit("a", None)
    assert scheduler.take() == []


def test_passes_of_one_kind_go_together() -> None:
    """At most so many; never with one that may make the engine fail."""
    scheduler = Scheduler[int]()
    for stream in range(5):
        scheduler.submit(stream, DecodeRequest(PassKind.FINAL, stream, alone=stream == 1))
    scheduler.submit(9, DecodeRequest(PassKind.EAGER_FINAL, 0))
    taken = [[stream for stream, _ in scheduler.take(3)] for _ in range(5)]
    assert taken == [[0, 2, 3], [1], [4], [9], []]


def test_what_goes_alone_may_have_the_engine_to_itself() -> None:
    """It waits until nothing is under way, and nothing else begins with it; what is more urgent goes before."""
    scheduler = Scheduler[str](exclusive=True)
    scheduler.submit("first", DecodeRequest(PassKind.FINAL, 1))
    scheduler.submit("suspect", DecodeRequest(PassKind.FINAL, 2, alone=True))
    scheduler.submit("last", DecodeRequest(PassKind.FINAL, 3))

    def taken() -> list[str]:
        return [stream for stream, _ in scheduler.take()]

    assert [taken(), taken()] == [["first"], []]
    scheduler.done("first")
    assert [taken(), taken()] == [["suspect"], []]
    scheduler.done("suspect")
    assert taken() == ["last"]


def test_background_work_has_a_limit_of_its_own() -> None:
    """Somebody live waits for one call of it at most; for none where it is not to begin."""
    scheduler = Scheduler[int]()
    for stream in range(4):
        scheduler.submit(stream, DecodeRequest(PassKind.BACKGROUND, stream))
        scheduler.submit(10 + stream, DecodeRequest(PassKind.PARTIAL, stream))
    assert [[stream for stream, _ in scheduler.take(3, 0)] for _ in range(3)] == [[10, 11, 12], [13], []]
    assert [[stream for stream, _ in scheduler.take(3, 2)] for _ in range(3)] == [[0, 1], [2, 3], []]


def test_how_long_the_oldest_waits() -> None:
    """Recordings may wait for ever."""
    scheduler = Scheduler[str]()
    assert scheduler.oldest(5) == 0
    scheduler.submit("recording", DecodeRequest(PassKind.BACKGROUND, 1))
    scheduler.submit("live", DecodeRequest(PassKind.FINAL, 3 + RESULT_DELAYS_S[PassKind.FINAL]))
    assert scheduler.oldest(5) == 2


@given(
    st.dictionaries(
        st.integers(), st.builds(DecodeRequest, st.sampled_from(PassKind), st.floats(0, 10), st.booleans()), max_size=20
    )
)
def test_everybody_is_served_in_order(requests: dict[int, DecodeRequest]) -> None:
    """All of them, none twice, each no more urgent than the one before; together only what may be."""
    scheduler = Scheduler[int]()
    for stream, request in requests.items():
        scheduler.submit(stream, request)
    taken = []
    while group := scheduler.take(4):
        taken += group
        assert len({request.kind for _, request in group}) == 1
        assert len(group) == 1 or not any(request.alone for _, request in group)
    assert dict(taken) == requests
    assert [request.kind for _, request in taken] == sorted(request.kind for request in requests.values())
