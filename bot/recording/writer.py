"""Writer of a recording: one thread that owns the files and their index; a disk that is full or slow stops nobody.

    <dir>/<connectionId>/index.json
    <dir>/<connectionId>/<track>/000007.wav        the eighth slice of a track; while it grows 000007.part.wav

The index is replaced as a whole each time a file is finished, so that it is always one that can be read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import structlog

from bot.audio.slices import Done, Piece
from bot.links.object_store import safe_name
from bot.recording.files import KINDS, SoundFile, pad
from common.audio.pcm import SAMPLE_RATE
from common.contracts.times import iso_utc

MAX_QUEUED_SAMPLES = 16_000_000
"""Samples (32 MB, 1,000 s of one track) that may wait for the disk. Policy when full: what comes is not recorded."""
MAX_HELD_SAMPLES = SAMPLE_RATE
"""1 s of a line that is kept back, so that a file is written to once a second and not fifty times."""
MAX_SPEECH = 20_000
"""Utterances in the index. Policy when full: the oldest go."""
INDEX = "index.json"
RESERVE = ".reserve"
RESERVE_BYTES = 64 * 1024
"""Of a file that is there to be deleted: so the last index finds room on a disk that is full."""

log = structlog.get_logger(__name__)


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


@dataclass(frozen=True, slots=True)
class Whose:
    """A slice of a line is done, and this is whose line it is."""

    done: Done
    speaker_id: str
    speaker: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """Somebody has said something, as the transcript has it; times in seconds since meeting time zero."""

    speaker_id: str
    speaker: str
    start: float
    end: float


Job: TypeAlias = Piece | Whose | Spoken


@dataclass(slots=True)
class _Line:
    """A line's file that grows."""

    slice: int
    path: Path
    file: SoundFile
    start: int
    held: list[Piece] = field(default_factory=list)
    samples: int = 0  # held


class Writer:
    """Writes one meeting's files in a thread of its own, which is started by `start` and ended by `finish`.

    Args:
        folder: Of all recordings.
        meeting: Which one this is.
        on_file: Called with each finished file, from the thread.
        on_failure: Called at most once, with the reason, from the thread: nothing is written any more.
        on_end: Called last, from the thread.
    """

    def __init__(
        self,
        folder: Path,
        meeting: Meeting,
        on_file: Callable[[Recorded], None],
        on_failure: Callable[[str], None],
        on_end: Callable[[], None],
    ) -> None:
        self.folder = folder / _folder_name(meeting.connection_id)
        self._meeting = meeting
        self._on_file, self._on_failure, self._on_end = on_file, on_failure, on_end
        self._jobs: deque[Job | None] = deque()
        self._queued = 0  # samples
        self._change = threading.Condition()
        self._lines: dict[str, _Line] = {}
        self._files: list[Recorded] = []
        self._speech: deque[dict[str, Any]] = deque(maxlen=MAX_SPEECH)
        self._is_over = False
        self.dropped = 0
        """Samples that the disk was too slow for."""

    def start(self) -> None:
        """Begins."""
        threading.Thread(target=self._run, name="recording", daemon=True).start()

    def put(self, job: Job) -> bool:
        """Takes a job; False: there is no room for it, it is lost."""
        samples = len(job.pcm) if isinstance(job, Piece) else 0
        with self._change:
            if self._is_over:
                return True
            if samples and self._queued + samples > MAX_QUEUED_SAMPLES:
                self.dropped += samples
                return False
            self._jobs.append(job)
            self._queued += samples
            self._change.notify()
        return True

    def finish(self) -> None:
        """Ends the thread once everything is written; `on_end` says when."""
        with self._change:
            self._jobs.append(None)
            self._change.notify()

    # --- the thread

    def _run(self) -> None:
        try:
            self._open()
            while (job := self._next()) is not None:
                self._do(job)
            for name in list(self._lines):
                self._finish(name, "", "")
            self._close()
        except OSError as error:
            self._fail(f"{self.folder}: {error.strerror or error}")
        except Exception:  # it must not end in silence, and not the meeting
            log.exception("bot.bug", task="recording")
            self._fail("a bug in the bot, see the log")
        finally:
            with self._change:
                self._is_over = True
                self._jobs.clear()
            self._on_end()

    def _next(self) -> Job | None:
        with self._change:
            while not self._jobs:
                self._change.wait()
            job = self._jobs.popleft()
            if isinstance(job, Piece):
                self._queued -= len(job.pcm)
            return job

    def _fail(self, why: str) -> None:
        """What was written stays, under its name where that still can be had."""
        for name in list(self._lines):
            with contextlib.suppress(OSError):
                self._lines[name].held.clear()
                self._finish(name, "", "")
        with contextlib.suppress(OSError):
            self._close()
        self._on_failure(why)

    def _open(self) -> None:
        """The meeting's folder; a bot that was started again goes on with what is there."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            before = json.loads((self.folder / INDEX).read_text(encoding="utf-8"))
            self._files = [Recorded(**each) for each in before["files"]]
            self._speech.extend(before["speech"])
        except (OSError, ValueError, TypeError, KeyError):
            pass
        self._write_index()
        (self.folder / RESERVE).write_bytes(bytes(RESERVE_BYTES))

    def _close(self) -> None:
        """The last index. Raises OSError."""
        (self.folder / RESERVE).unlink(missing_ok=True)
        self._write_index(finished=True)

    def _do(self, job: Job) -> None:
        match job:
            case Piece():
                self._append(job)
            case Whose(done):
                if done.line in self._lines and self._lines[done.line].slice == done.slice:
                    self._finish(done.line, job.speaker_id, job.speaker)
                    self._write_index()
            case Spoken():
                self._speech.append(asdict(job))

    def _append(self, piece: Piece) -> None:
        line = self._lines.get(piece.line)
        if line is None:
            folder = self.folder / _folder_name(piece.line)
            folder.mkdir(exist_ok=True, mode=0o700)
            path = folder / f"{piece.slice:06}.part.{self._meeting.kind}"
            line = self._lines[piece.line] = _Line(piece.slice, path, KINDS[self._meeting.kind](path), piece.start)
        line.held.append(piece)
        line.samples += len(piece.pcm)
        if line.samples >= MAX_HELD_SAMPLES:
            self._write(line)

    @staticmethod
    def _write(line: _Line) -> None:
        held, line.held, line.samples = line.held, [], 0
        run: list[Any] = []
        end = line.start + line.file.samples
        for piece in held:
            if piece.start > end:
                if run:
                    line.file.write(np.concatenate(run))
                    run = []
                pad(line.file, piece.start - end)
            run.append(piece.pcm)
            end = piece.start + len(piece.pcm)
        if run:
            line.file.write(np.concatenate(run))

    def _finish(self, name: str, speaker_id: str, speaker: str) -> None:
        """The file gets its name, and its place in the index."""
        line = self._lines.pop(name)
        try:
            self._write(line)
        finally:
            line.file.close()
        path = _free(line.path.with_name(line.path.name.replace(".part.", ".")))
        os.replace(line.path, path)
        start, end = line.start / SAMPLE_RATE, (line.start + line.file.samples) / SAMPLE_RATE
        recorded = Recorded(
            path=str(path.relative_to(self.folder)),
            track=name,
            speaker_id=speaker_id,
            speaker=speaker,
            seq=sum(each.track == name for each in self._files),
            start=round(start, 3),
            end=round(end, 3),
            absolute_start_time=iso_utc(self._meeting.zero + start),
            absolute_end_time=iso_utc(self._meeting.zero + end),
        )
        self._files.append(recorded)
        self._on_file(recorded)

    def _write_index(self, *, finished: bool = False) -> None:
        meeting = self._meeting
        index = {
            "version": 1,
            "connection_id": meeting.connection_id,
            "meeting_id": meeting.meeting_id,
            "platform": meeting.platform,
            "zero": iso_utc(meeting.zero),
            "sample_rate": SAMPLE_RATE,
            "slice_seconds": meeting.seconds,
            "format": meeting.kind,
            "finished": finished,
            "files": [asdict(each) for each in self._files],
            "speech": list(self._speech),
        }
        path = self.folder / f".{INDEX}.part"
        path.write_text(json.dumps(index, ensure_ascii=False, indent=1), encoding="utf-8")
        os.replace(path, self.folder / INDEX)


def _folder_name(text: str) -> str:
    """Of an id that others chose; where characters had to go, a part of its hash keeps it apart from others."""
    safe = safe_name(text)
    return safe if safe == text else f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _free(path: Path) -> Path:
    """The path, or with a number the first one that is free: a bot that was started again in the same slice."""
    number = 2
    found = path
    while found.exists():
        found = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return found
