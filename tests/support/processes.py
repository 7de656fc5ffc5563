"""Processes as /proc shows them. Each process is read alone and may end at any moment: then it is not there."""

from __future__ import annotations

import os
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

VANISHED = (FileNotFoundError, ProcessLookupError)
"""What reading about a process raises that has just ended: before its files are opened, and after."""


@asynccontextmanager
async def ended(process: Process) -> AsyncIterator[None]:
    """The process is gone after the block, whatever happened in it, and what it wrote has been read."""
    try:
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def children(pid: int | None = None) -> set[int]:
    """Processes whose parent is `pid` (None: this process), dead ones that nobody has reaped included."""
    parent = os.getpid() if pid is None else pid
    return {child for child, its_parent in _parents().items() if its_parent == parent}


def descendants(pid: int) -> set[int]:
    """The process and everything that it, or what it has started, has started."""
    parents = _parents()
    found, grown = set[int](), {pid}
    while grown:
        found |= grown
        grown = {child for child, parent in parents.items() if parent in grown} - found
    return found


def engines(pid: int | None = None) -> list[int]:
    """Of the processes that a transcriber has started, those of the engine; what else a test run has started is not."""
    return [child for child in sorted(children(pid)) if _command(child) in ("", "transcriber.engine.child")]


def is_gone(pid: int) -> bool:
    """A process is no more, or only a name for somebody to reap."""
    return _stat(pid)[:1] in ([], ["Z"])


def _parents() -> dict[int, int]:
    # Not /proc/PID/task/TID/children: that is exact only while nothing starts or ends.
    stats = {int(entry.name): _stat(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    return {pid: int(stat[1]) for pid, stat in stats.items() if stat}


def _stat(pid: int) -> list[str]:
    """State, parent and so on; empty for one that is gone. The name before them may hold spaces and parentheses."""
    with suppress(*VANISHED):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return []


def _command(pid: int) -> str:
    """The module that a process runs, or its first word; empty for a dead one."""
    with suppress(*VANISHED):
        words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
        return words[words.index("-m") + 1] if "-m" in words else words[0]
    return ""
