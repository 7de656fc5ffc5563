"""`earshot tail`: watch a meeting's transcript in a terminal."""

from __future__ import annotations

import asyncio
import sys

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from common.transcript.reader import TranscriptReader
from common.transcript.view import Row

FRAMES_PER_SECOND = 8


async def tail(url: str, meeting_id: str, *, since_start: bool, follow: bool, plain: bool) -> None:
    """Shows the transcript on standard output: a live view on a terminal, else (or `plain`) one line per final.

    Args:
        url: Redis URL.
        meeting_id: Which meeting.
        since_start: Read the whole stream first, not only its last `RECENT_ENTRIES` entries.
        follow: Stay when the meeting ends.
        plain: Lines even on a terminal.
    """
    console = Console(highlight=False, markup=False)
    if plain or not console.is_terminal:

        def write(row: Row) -> None:
            sys.stdout.write(f"{row.line}\n")
            sys.stdout.flush()

        reader = TranscriptReader(url, meeting_id, write)
        await reader.history(everything=since_start)
        if not _has_begun(reader):
            sys.stderr.write(f"earshot: nothing of meeting {meeting_id} yet; waiting, Ctrl-C ends\n")
        _say_if_over(reader, meeting_id, follow)
        await reader.follow(until_end=not follow)
        return
    reader = TranscriptReader(url, meeting_id)
    await reader.history(everything=since_start)
    was_over = reader.view.ended
    with Live(console=console, auto_refresh=False, screen=True) as live:
        async with asyncio.TaskGroup() as group:
            painter = group.create_task(_paint(live, reader, meeting_id))
            await reader.follow(until_end=not follow)
            painter.cancel()
    for row in reader.view.rows():
        console.print(row.line)
    if was_over:
        _say_if_over(reader, meeting_id, follow)


def _say_if_over(reader: TranscriptReader, meeting_id: str, follow: bool) -> None:
    """A meeting may be held again under its id, and who waits for that one is not to take the last one for it."""
    if reader.view.ended and not follow:
        sys.stderr.write(f"earshot: meeting {meeting_id} has ended; --follow waits until it is held again\n")


def _has_begun(reader: TranscriptReader) -> bool:
    """Whether anything of the meeting was seen: with a mistyped id nothing ever is."""
    return reader.view.started or reader.view.ended or bool(reader.view.rows())


async def _paint(live: Live, reader: TranscriptReader, meeting_id: str) -> None:
    while True:
        size = live.console.size
        state = "live" if _has_begun(reader) else f"nothing of meeting {meeting_id} yet"
        state = reader.problem or ("the meeting has ended" if reader.view.ended else f"{state}; Ctrl-C ends")
        live.update(
            Group(reader.view.render(size.width, size.height - 2), Text(f"── {state}", style="dim")), refresh=True
        )
        await asyncio.sleep(1 / FRAMES_PER_SECOND)
