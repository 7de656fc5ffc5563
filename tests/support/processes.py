"""Processes as /proc shows them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def children(pid: int | str = "self") -> list[int]:
    """Processes that another has started, dead ones that nobody has reaped included."""
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            found += [int(child) for child in (thread / "children").read_text(encoding="ascii").split()]
    return found


def is_gone(pid: int) -> bool:
    """A process is no more, or only a name for somebody to reap."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
