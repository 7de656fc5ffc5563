"""Cores, shared out among workers: a test waits until the others leave it those that it computes on.

Most tests wait for real time, so there are more workers than cores; but six Chromiums beside two speech models would
starve each other, and what they hear would come late.
"""

from __future__ import annotations

import fcntl
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

import pytest

SHARES = {"browser": 0.4, "model": 0.3, "livekit": 0.3, "processes": 0.2, "redis": 0.1, "slow": 0.1}
"""Mark → cores that such a test computes on, on the average of its time. Of several marks the largest counts."""
STEPS, STEPS_S = 1_000_000, 0.04
"""Additions, and their processor time where the shares were measured: told from a slower machine, where it is 0.06 s
and that of all tests half as much again."""
SLOWEST = 0.75
"""Speed of a core that counts: with less, so few tests are at work that cores are idle while those wait."""
UNITS_PER_CORE = 10
RETRY_S = 0.02


def share(item: pytest.Item) -> float:
    """Cores of a test: what its mark `cores` says, or what its kind takes; 0: it is one of a moment."""
    mark = item.get_closest_marker("cores")
    if mark is not None:
        return float(mark.args[0])
    return max((cores for name, cores in SHARES.items() if item.get_closest_marker(name)), default=0.0)


def left_by_others(seconds: float = 0.5) -> float:
    """Cores for us: those idle for so long, and half of those in use, as the scheduler shares with whoever asks. All,
    where the kernel counts no time (gVisor)."""
    before = _processor_times()
    time.sleep(seconds)
    user, nice, system, idle, waiting, *interrupts = map(int.__sub__, _processor_times(), before)
    free, busy = nice + idle + waiting, user + system + sum(interrupts[:2])
    return ours() * ((free + busy / 2) / (free + busy) if free + busy > 0 else 1.0)


def speed() -> float:
    """Of a core, on the average of half a second, compared to those that the shares were measured on; at most 1."""
    times = []
    for _ in range(10):
        began, total = time.process_time(), 0
        for number in range(STEPS):
            total += number
        times.append(time.process_time() - began)
    return min(1.0, max(SLOWEST, STEPS_S / statistics.fmean(times)))


def ours() -> int:
    """Cores that we may run on."""
    return len(os.sched_getaffinity(0))


def _processor_times() -> list[int]:
    """Of all cores since the start of the machine (proc(5), /proc/stat)."""
    return list(map(int, Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0].split()[1:]))


class Cores:
    """Those of one run of tests, for each of its workers: a lock for each unit, and one for the queue.

    Args:
        folder: The same for every worker, as `prepare` has made it.
    """

    def __init__(self, folder: Path) -> None:
        self._queue = (folder / "queue").open("w")
        self._units = [path.open("w") for path in sorted(folder.glob("unit-*"))]

    @staticmethod
    def prepare(folder: Path, cores: float) -> None:
        """Makes an empty folder one of so many cores."""
        for number in range(round(cores * UNITS_PER_CORE)):
            (folder / f"unit-{number:04}").touch()

    @contextmanager
    def taken(self, cores: float) -> Iterator[None]:
        """Waits until so many are free, and has them to the end of the block; all there are, where that is less.

        One worker at a time waits for units, the others for its place: who needs many is not passed by for ever. The
        kernel frees those of a worker that dies.
        """
        wanted = min(round(cores * UNITS_PER_CORE), len(self._units))
        held: list[TextIOWrapper] = []
        try:
            if wanted:
                self._collect(wanted, held)
            yield
        finally:
            for unit in held:
                fcntl.flock(unit, fcntl.LOCK_UN)

    def _collect(self, wanted: int, held: list[TextIOWrapper]) -> None:
        fcntl.flock(self._queue, fcntl.LOCK_EX)
        try:
            while True:
                for unit in self._units:
                    if len(held) < wanted and unit not in held and _locked(unit):
                        held.append(unit)
                if len(held) == wanted:
                    return
                time.sleep(RETRY_S)
        finally:
            fcntl.flock(self._queue, fcntl.LOCK_UN)

    def close(self) -> None:
        """Gives back its files."""
        for file in (self._queue, *self._units):
            file.close()


def _locked(unit: TextIOWrapper) -> bool:
    try:
        fcntl.flock(unit, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
