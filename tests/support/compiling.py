"""Tests that nobody has compiled yet: one worker does it, while the others wait.

Each worker collects all of them, and compiling takes it longer than collecting.
"""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def by_one(tests: Path, lock: Path) -> Iterator[None]:
    """Around what compiles: where most tests are not compiled, others wait until the first is through.

    The kernel frees the lock of one that dies.

    Args:
        tests: The folder that the tests are in.
        lock: A file, the same for all of them.
    """
    if are_compiled(tests):
        yield
        return
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(file, fcntl.LOCK_SH)  # together with the others who waited
        yield


def are_compiled(tests: Path) -> bool:
    """Whether pytest, on this Python, has compiled more than half of the tests."""
    compiled = f"__pycache__/test_*.{sys.implementation.cache_tag}-pytest-*.pyc"
    return 2 * sum(1 for _ in tests.rglob(compiled)) > sum(1 for _ in tests.rglob("test_*.py"))
