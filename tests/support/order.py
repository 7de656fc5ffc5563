"""Order in which workers take files of tests: what may take longest first, and Chromium beside what only waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from tests.support.cores import SHARES

WAITING = tuple(SHARES)
"""Marks of tests that take more than a moment."""
TIMEOUT_S = 20.0
"""Of a test that names none."""


@dataclass(frozen=True, slots=True)
class Work:
    """One file, which one worker does."""

    path: str
    seconds: float
    """The time that its tests may take; 0: a moment."""
    is_browser: bool
    """It starts Chromium, which is half of what a run costs."""


def ordered(files: Sequence[Work]) -> list[Work]:
    """Both kinds side by side to the end, of each the longest first: nothing long begins last, and the cores have
    enough to do at any time, and not too much. Files of a moment are last, as they came."""
    placed = []
    for kind in (True, False):
        own = sorted((work for work in files if work.is_browser is kind), key=lambda work: -work.seconds)
        total, before = sum(work.seconds for work in own), 0.0
        for work in own:
            placed.append((before / total if work.seconds else 1.0, work))
            before += work.seconds
    return [work for _, work in sorted(placed, key=lambda place: place[0])]


def arrange(items: list[pytest.Item]) -> None:
    """Puts tests in that order, in place; within a file they stay as they are."""
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)
    works = [
        Work(path, sum(map(_seconds, tests)), any(test.get_closest_marker("browser") for test in tests))
        for path, tests in files.items()
    ]
    items[:] = [item for work in ordered(works) for item in files[work.path]]


def _seconds(item: pytest.Item) -> float:
    """What one test may take."""
    if not any(map(item.get_closest_marker, WAITING)):
        return 0.0
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0]) if mark else TIMEOUT_S
