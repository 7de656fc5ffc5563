"""A transcript as people watch it: who said what, when; partials dim, finals solid. State first, rendering on top."""

from __future__ import annotations

import zlib
from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from common.contracts.json_values import read_object
from common.contracts.live import parse_live
from common.contracts.segments import Segment, Source, parse
from common.redact import printable

COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_red", "bright_cyan", "bright_green")
MAX_ROWS = 5_000
"""Rows kept; beyond it the earliest go."""
MAX_NAME_CHARACTERS, MAX_TEXT_CHARACTERS = 24, 4_000


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """One segment as shown. `start` in seconds since the meeting began; texts are safe for a terminal.

    In order of the clock (`at`, UTC): a meeting may be held again under its id, and then begins at 0 anew.
    """

    at: str
    start: float
    segment_id: str
    speaker: str
    text: str
    final: bool

    @property
    def clock(self) -> str:
        """`mm:ss` of the start, or `h:mm:ss`."""
        minutes, seconds = divmod(int(self.start), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"

    @property
    def line(self) -> str:
        """The row as plain text."""
        return f"[{self.clock}] {self.speaker}: {self.text}"


class TranscriptView:
    """What is known of one meeting, from stream payloads and live messages in any order, as often as they come.

    Args:
        meeting_id: Messages of other meetings are ignored; None: take all.
    """

    def __init__(self, meeting_id: int | str | None = None) -> None:
        self._meeting_id = None if meeting_id is None else str(meeting_id)
        self._rows: dict[str, Row] = {}
        self._ordered: list[Row] = []
        self.started = False
        """A `session_start` was seen."""
        self.ended = False
        """The latest session has ended."""

    def apply(self, message: str) -> list[Row]:
        """Takes in a stream payload or a live message; returns the rows that it made final."""
        try:
            meeting_id, kind, segments = _read(message)
        except ValueError:  # others write into a shared stream, too
            return []
        if self._meeting_id is not None and str(meeting_id) != self._meeting_id:
            return []
        if kind == "session_start":
            self.started, self.ended = True, False
        elif kind == "session_end":
            self.ended = True
            self._drop([row for row in self._ordered if not row.final])
        changed = [self._segment(segment) for segment in segments]
        return [row for row in changed if row is not None and row.final]

    def _segment(self, segment: Segment) -> Row | None:
        """Takes one segment in; None when it is no news: a partial after its final, or a final seen before."""
        row = _row(segment)
        known = self._rows.get(row.segment_id)
        if known is not None:
            if known.final:
                return None
            self._drop([known])
        self._rows[row.segment_id] = row
        insort(self._ordered, row)
        if len(self._ordered) > MAX_ROWS:
            self._drop(self._ordered[:1])
        return row

    def _drop(self, rows: list[Row]) -> None:
        for row in rows:
            del self._rows[row.segment_id]
            self._ordered.remove(row)

    def rows(self) -> list[Row]:
        """All rows in the order in which they were said."""
        return list(self._ordered)

    def render(self, width: int, height: int) -> Table:
        """The last rows that fit `width` × `height` cells."""
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(no_wrap=True, style="dim")
        table.add_column(no_wrap=True, max_width=MAX_NAME_CHARACTERS)
        table.add_column(ratio=1)
        for row in self._last(width, height):
            style = "default" if row.final else "dim italic"
            name = Text(row.speaker, style=f"bold {colour_of(row.speaker)}")
            table.add_row(
                f"[{row.clock}]".replace("[", r"\["), name, Text(row.text if row.final else f"{row.text} …", style)
            )
        return table

    def _last(self, width: int, height: int) -> Iterator[Row]:
        names = max((len(row.speaker) for row in self._ordered), default=0)
        for_text = max(10, width - names - 12)
        used, first = 0, len(self._ordered)
        while first and used < height:
            first -= 1
            used += -(-(len(self._ordered[first].text) + 2) // for_text)
        if used > height:
            first += 1
        return iter(self._ordered[first:])


def colour_of(speaker: str) -> str:
    """The speaker's colour: the same name always has the same."""
    return COLOURS[zlib.crc32(speaker.encode("utf-8", "replace")) % len(COLOURS)]


def _read(message: str) -> tuple[int | str, str, tuple[Segment, ...]]:
    """The meeting, the kind of message and its segments. Raises ValueError."""
    if read_object(message).get("type") == "transcript":
        meeting_id, segment = parse_live(message)
        return meeting_id, "transcript", (segment,)
    payload = parse(message)
    return payload.identity.meeting_id, payload.kind, payload.segments


def _row(segment: Segment) -> Row:
    return Row(
        at=segment.absolute_start_time,
        start=segment.start,
        segment_id=segment.segment_id,
        speaker=printable(segment.speaker or "unknown", MAX_NAME_CHARACTERS)
        + ("" if segment.source is Source.SPEECH else f" ({segment.source})"),
        text=printable(segment.text.strip(), MAX_TEXT_CHARACTERS),
        final=segment.completed,
    )
