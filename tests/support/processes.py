"""Processes as /proc shows them, and their end."""

from __future__ import annotations

from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path


@asynccontextmanager
async def ended(process: Process) -> AsyncIterator[None]:
    """The process is gone after the block, whatever happened in it, and what it wrote has been read."""
    try:
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def children(pid: int | str = "self") -> list[int]:
    """Processes that another has started, dead ones that nobody has reaped included."""
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            found += [int(child) for child in (thread / "children").read_text(encoding="ascii").split()]
    return found


def engines(pid: int | str = "self") -> list[int]:
    """Of the processes that a transcriber has started, those of the engine; what else a test run has started is not."""
    return [child for child in children(pid) if _command(child) in ("", "transcriber.engine.child")]


def _command(pid: int) -> str:
    """The module that a process runs, or its first word; empty for a dead one."""
    with suppress(FileNotFoundError, ProcessLookupError):
        words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
        return words[words.index("-m") + 1] if "-m" in words else words[0]
    return ""


def is_gone(pid: int) -> bool:
    """A process is no more, or only a name for somebody to reap."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
