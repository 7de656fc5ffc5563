"""Losses become one gap each."""

from __future__ import annotations

from bot.audio.gaps import QUIET_S, Gap, Gaps


def test_a_loss_in_many_pieces_is_one_gap_told_when_decisions_come_again() -> None:
    """Not before, however long it lasts; each track has its own, and a later loss is another gap."""
    gaps = Gaps()
    gaps.lost("a", 1000, 500, now=10)
    gaps.lost("a", 1500, 500, now=11)
    gaps.lost("b", 700, 100, now=11)
    assert gaps.over(10_000) == []
    gaps.answered("a")
    gaps.answered("nobody")
    assert gaps.over(11 + QUIET_S - 0.1) == []
    assert gaps.over(11 + QUIET_S) == [Gap("a", 1000, 1000)]
    assert gaps.over(10_000) == []
    gaps.lost("a", 9000, 10, now=20)
    gaps.answered("a")
    gaps.lost("a", 9010, 10, now=21)
    assert gaps.over(100) == []
    assert gaps.over(100, at_the_end=True) == [Gap("b", 700, 100), Gap("a", 9000, 20)]
