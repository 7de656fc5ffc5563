"""Index of a recording, `index.json`: which files there are, whose, and who said something when.

It is replaced as a whole, so that it is always one that can be read. A line of it is made once: after hours it is
megabytes. A bot that was started again goes on with the one that is there.
"""

from __future__ import annotations

import json
import os
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from common.audio.pcm import SAMPLE_RATE
from common.contracts.json_values import write
from common.contracts.times import iso_utc

INDEX = "index.json"
MAX_UTTERANCES = 20_000
"""Utterances in the index. Policy when full: the oldest go."""
RESERVE = ".reserve"
RESERVE_BYTES = 64 * 1024
"""More than the index has: of a file that is there to be deleted, so that the last one finds room on a full disk."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """Which meeting a recording is of.

    Args:
        connection_id: Of the bot.
        meeting_id: As configured.
        platform: As configured.
        zero: Unix seconds of meeting time zero.
        seconds: Length of a slice.
        kind: `wav` or `flac`.
    """

    connection_id: str
    meeting_id: int | str
    platform: str
    zero: float
    seconds: int
    kind: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """A finished file, as it stands in the index; times in seconds since meeting time zero."""

    path: str
    """Below the meeting's folder."""
    track: str
    """`mix`: all of them."""
    speaker_id: str
    speaker: str
    seq: int
    """Numbers the files of a track."""
    start: float
    end: float
    absolute_start_time: str
    absolute_end_time: str
    engine: str = "native"
    """What decoded it, at its end."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """Somebody has said something, as the transcript has it; times in seconds since meeting time zero."""

    speaker_id: str
    speaker: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A file that grows."""

    path: str
    """Below the meeting's folder."""
    track: str
    start: float
    """Seconds since meeting time zero."""


@dataclass(frozen=True, slots=True)
class Left:
    """What the bot before has left: its files, and its time zero in Unix seconds."""

    files: list[Recorded]
    unfinished: list[Unfinished]
    zero: float


class Index:
    """The index of one meeting, in its folder.

    Args:
        folder: The meeting's.
        meeting: Which one it is.
    """

    def __init__(self, folder: Path, meeting: Meeting) -> None:
        self._folder, self._meeting = folder, meeting
        self._files: list[str] = []  # JSON
        self._counts: Counter[str] = Counter()  # files of each track
        self._speech: deque[str] = deque(maxlen=MAX_UTTERANCES)  # JSON
        self._reserved = 0  # bytes
        self.is_stale = False
        """There are files of which the one on the disk does not know."""

    def read(self) -> Left | None:
        """Takes over what the bot before has left; None: nothing, or nothing that can be read."""
        try:
            before = json.loads((self._folder / INDEX).read_text(encoding="utf-8"))
            files = [Recorded(**each) for each in before["files"]]
            for each in files:
                self.add(each)
            self._speech.extend(write(asdict(Spoken(**each))) for each in before["speech"])
            unfinished = [
                Unfinished(str(each["path"]), str(each["track"]), float(each["start"])) for each in before["unfinished"]
            ]
            return Left(files, unfinished, datetime.fromisoformat(before["zero"]).timestamp())
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def add(self, recorded: Recorded) -> None:
        """A file is finished."""
        self._files.append(write(asdict(recorded)))
        self._counts[recorded.track] += 1
        self.is_stale = True

    def count(self, track: str) -> int:
        """Finished files of a track."""
        return self._counts[track]

    def hear(self, spoken: Spoken) -> None:
        """Somebody has said something; that alone makes nothing stale."""
        self._speech.append(write(asdict(spoken)))

    def forget_speech(self) -> None:
        """There is no room for who said something."""
        self._speech.clear()

    def make_room(self) -> None:
        """Gives up the reserve, for the last index. Raises OSError."""
        (self._folder / RESERVE).unlink(missing_ok=True)

    def write(self, unfinished: Iterable[Unfinished], *, finished: bool) -> None:
        """Replaces the one on the disk, and sees to the reserve for the last. Raises OSError."""
        self.is_stale = False
        meeting = self._meeting
        head = {
            "version": 1,
            "connection_id": meeting.connection_id,
            "meeting_id": meeting.meeting_id,
            "platform": meeting.platform,
            "zero": iso_utc(meeting.zero),
            "sample_rate": SAMPLE_RATE,
            "slice_seconds": meeting.seconds,
            "format": meeting.kind,
            "finished": finished,
        }
        growing = (write(asdict(one)) for one in unfinished)
        lists = {"files": self._files, "unfinished": growing, "speech": self._speech}
        path = self._folder / f".{INDEX}.part"
        try:
            with path.open("w", encoding="utf-8") as file:
                file.write(write(head)[:-1])
                for name, entries in lists.items():
                    file.write(f',\n"{name}":[' + ",".join(f"\n {entry}" for entry in entries) + "]")
                file.write("}\n")
            size = path.stat().st_size
            os.replace(path, self._folder / INDEX)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        if not finished and size + RESERVE_BYTES // 2 > self._reserved:
            self._reserved = size + RESERVE_BYTES
            (self._folder / RESERVE).write_bytes(bytes(self._reserved))
