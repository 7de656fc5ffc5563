"""How often a page may die."""

from __future__ import annotations

from bot.drivers.browser.stay import MAX_RELAUNCHES, RELAUNCH_WINDOW_S, Relaunches


def test_so_many_within_the_window() -> None:
    """The fourth death within ten minutes is the end; spread wider, there is none."""
    relaunches = Relaunches()
    assert [relaunches.allow(float(at)) for at in range(MAX_RELAUNCHES + 1)] == [True] * MAX_RELAUNCHES + [False]
    relaunches = Relaunches()
    pause = RELAUNCH_WINDOW_S / MAX_RELAUNCHES
    assert all(relaunches.allow(n * pause) for n in range(20))
