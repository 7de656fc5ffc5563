"""The floor: names only who held it alone, and never near a change."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.audio.floor import MARGIN_S, MAX_CHANGES, MEMORY_S, Floor

ANA, BEN, NOBODY = frozenset({"ana"}), frozenset({"ben"}), frozenset[str]()


def floor(*changes: tuple[float, frozenset[str]]) -> Floor:
    """A floor with a history."""
    made = Floor()
    for at, who in changes:
        made.report(who, at)
    return made


def test_one_holder_is_the_speaker() -> None:
    """Inside of what one person held, margins kept."""
    held = floor((0, NOBODY), (10, ANA), (20, BEN))
    assert held.speaker(11, 19) == "ana"
    assert held.speaker(21, 500) == "ben"


def test_near_a_change_nobody_is_named() -> None:
    """Half a second before and after belongs to neither."""
    held = floor((10, ANA), (20, BEN))
    assert held.speaker(19, 20 - MARGIN_S) is None
    assert held.speaker(20 + MARGIN_S / 2, 25) is None
    assert held.speaker(15, 25) is None


def test_silence_and_chorus_and_the_unknown_past_have_no_speaker() -> None:
    """Nobody, several, or before the first report."""
    held = floor((10, ANA | BEN), (20, NOBODY))
    assert held.speaker(12, 18) is None
    assert held.speaker(22, 23) is None
    assert held.speaker(0, 5) is None
    assert Floor().speaker(0, 1) is None


def test_repeated_and_late_reports() -> None:
    """The same again is no change; what comes out of order counts from the last one on."""
    held = floor((10, ANA), (12, ANA), (11, ANA))
    assert held.changes(0, 20) == [10]
    held.report(BEN, 5)
    assert held.changes(0, 20) == [10, 10]
    assert held.speaker(11, 12) == "ben"


def test_changes_are_where_an_utterance_is_cut() -> None:
    """Those inside of it."""
    assert floor((1, ANA), (2, BEN), (3, ANA)).changes(1, 2.5) == [2]


def test_memory_is_bounded() -> None:
    """Old changes go; of those that remain the first still says who held it then."""
    held = Floor()
    for second in range(2_000):
        held.report(ANA if second % 2 else BEN, second)
    assert len(held.changes(0, 2_000)) <= MEMORY_S + 2
    flood = Floor()
    for number in range(2 * MAX_CHANGES):
        flood.report(ANA if number % 2 else BEN, 1.0)
    assert len(flood.changes(0, 2)) == MAX_CHANGES


@given(
    st.lists(st.tuples(st.floats(0, 100), st.sampled_from([ANA, BEN, NOBODY, ANA | BEN])), max_size=20),
    st.floats(0, 100),
    st.floats(0, 20),
)
def test_who_is_named_held_it_all_the_time(
    reports: list[tuple[float, frozenset[str]]], start: float, length: float
) -> None:
    """Whatever was reported, at every moment of the stretch and its margins that person alone had it."""
    reports.sort(key=lambda report: report[0])
    named = floor(*reports).speaker(start, start + length)
    if named is not None:
        before = [who for at, who in reports if at <= start - MARGIN_S]
        during = [who for at, who in reports if start - MARGIN_S < at <= start + length + MARGIN_S]
        assert [*before[-1:], *during] == [frozenset({named})] * (1 + len(during))
