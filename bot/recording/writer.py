"""Writer of a recording: one thread that owns the files and their index; a disk that is full or slow stops nobody.

    <dir>/<connectionId>/index.json
    <dir>/<connectionId>/<track>/000007.wav        the eighth slice of a track; while it grows 000007.part.wav

The index (`index`) is written each time files begin or are finished. Files that a bot which was killed has left behind
get their names when it is started again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import structlog

from bot.audio.slices import MIX, Done, Piece
from bot.links.object_store import safe_name
from bot.recording.files import KINDS, SoundFile, left_behind, pad
from bot.recording.index import INDEX, Index, Left, Meeting, Recorded, Spoken, Unfinished
from common.audio.pcm import SAMPLE_RATE
from common.contracts.json_values import as_utf8
from common.contracts.times import iso_utc

MAX_QUEUED_SAMPLES = 16_000_000
"""Samples (32 MB, 1,000 s of one track) that may wait for the disk. Policy when full: what comes is not recorded."""
MAX_HELD_SAMPLES = SAMPLE_RATE
"""1 s of a line that is kept back, so that a file is written to once a second and not fifty times."""
MIX_NAME = "mix"
"""Of the mix, as a folder and in the index; a track that is called so has another folder."""
INDEX_INTERVAL_S = 5.0
"""At most between an event and its place in the index, where there is always something to write."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Whose:
    """A slice of a line is done, and this is whose line it is, and what decoded it."""

    done: Done
    speaker_id: str
    speaker: str
    engine: str = "native"


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
        self._index = Index(self.folder, meeting)
        self._indexed_at = 0.0  # monotonic seconds
        self._lock: int | None = None  # on the folder, while somebody is at work in it
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
                self._finish(name, *self._nobody(name))
            self._close()
        except OSError as error:
            self._fail(f"{self.folder}: {error.strerror or error}")
        except Exception:  # it must not end in silence, and not the meeting
            log.exception("bot.bug", task="recording")
            self._fail("a bug in the bot, see the log")
        finally:
            if self._lock is not None:
                os.close(self._lock)
            with self._change:
                self._is_over = True
                self._jobs.clear()
            self._on_end()

    def _next(self) -> Job | None:
        """The next job; before it waits for one, and from time to time, news for the index is written into it."""
        while True:
            with self._change:
                while not self._jobs and not self._index.is_stale:
                    self._change.wait()
                is_late = time.monotonic() >= self._indexed_at + INDEX_INTERVAL_S
                if self._jobs and not (self._index.is_stale and is_late):
                    job = self._jobs.popleft()
                    if isinstance(job, Piece):
                        self._queued -= len(job.pcm)
                    return job
            self._write_index()

    def _fail(self, why: str) -> None:
        """What was written stays, under its name where that still can be had."""
        with contextlib.suppress(OSError):
            self._index.make_room()
        for name in list(self._lines):
            with contextlib.suppress(Exception):
                self._lines[name].held.clear()
                self._finish(name, *self._nobody(name), despite=(OSError, ValueError))  # ValueError: closed already
        for _ in range(2):
            try:
                self._close()
                break
            except Exception:  # there is no room for all of it: which files there are matters most
                self._index.forget_speech()
        self._on_failure(why)

    def _open(self) -> None:
        """The meeting's folder; a bot that was started again goes on with what is there."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        is_alone = self._is_alone()
        left = self._index.read()
        if left is not None and is_alone:
            for one in left.unfinished:
                with contextlib.suppress(OSError):
                    self._adopt(one, left)
        self._write_index()

    def _is_alone(self) -> bool:
        """Whether the bot that was here before is gone; from now on, until we are, it is us."""
        self._lock = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _adopt(self, one: Unfinished, left: Left) -> None:
        """Finishes a file that was left behind: whose it is, those before it say."""
        part = self.folder / one.path
        if part.parent.parent != self.folder or not part.is_file():
            return
        samples = left_behind(part, self._meeting.kind)
        if samples:
            last = next((each for each in reversed(left.files) if each.track == one.track), None)
            whose = (last.speaker_id, last.speaker, last.engine) if last is not None else ("", "", "native")
            self._name(part, one.track, whose, one.start, one.start + samples / SAMPLE_RATE, left.zero)
        else:
            part.unlink()

    def _close(self) -> None:
        """The last index. Raises OSError."""
        self._index.make_room()
        self._write_index(finished=True)

    def _do(self, job: Job) -> None:
        match job:
            case Piece():
                self._append(job)
            case Whose(done):
                if done.line in self._lines and self._lines[done.line].slice == done.slice:
                    self._finish(done.line, job.speaker_id, job.speaker, job.engine)
            case Spoken():
                self._index.hear(job)

    def _append(self, piece: Piece) -> None:
        line = self._lines.get(piece.line)
        if line is None:
            folder = self.folder / _folder_name(piece.line)
            folder.mkdir(exist_ok=True, mode=0o700)
            path = _free(folder / f"{piece.slice:06}.part.{self._meeting.kind}")
            line = self._lines[piece.line] = _Line(piece.slice, path, KINDS[self._meeting.kind](path), piece.start)
            self._index.is_stale = True
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

    @staticmethod
    def _nobody(name: str) -> tuple[str, str]:
        return (MIX_NAME, "") if name == MIX else ("", "")

    def _finish(
        self, name: str, speaker_id: str, speaker: str, engine: str = "native", *,
        despite: tuple[type[Exception], ...] = (),
    ) -> None:  # fmt: skip
        """The file gets its name, and its place in the index; `despite` these, which say that its end is missing.

        One that does not get there is still among those that grow: `_fail` comes to it once more.
        """
        line = self._lines[name]
        with contextlib.suppress(*despite):
            try:
                self._write(line)
            finally:
                line.file.close()
        start, end = line.start / SAMPLE_RATE, (line.start + line.file.samples) / SAMPLE_RATE
        self._name(line.path, _track(name), (speaker_id, speaker, engine), start, end, self._meeting.zero)
        del self._lines[name]

    def _name(
        self, part: Path, track: str, whose: tuple[str, str, str], start: float, end: float, zero: float
    ) -> None:  # fmt: skip
        path = _free(part.with_name(part.name.partition(".")[0] + part.suffix))
        os.replace(part, path)
        recorded = Recorded(
            path=str(path.relative_to(self.folder)),
            track=as_utf8(track),
            speaker_id=as_utf8(whose[0]),
            speaker=as_utf8(whose[1]),
            seq=self._index.count(as_utf8(track)),
            start=round(start, 3),
            end=round(end, 3),
            absolute_start_time=iso_utc(zero + start),
            absolute_end_time=iso_utc(zero + end),
            engine=whose[2],
        )
        self._index.add(recorded)
        self._on_file(recorded)

    def _write_index(self, *, finished: bool = False) -> None:
        self._indexed_at = time.monotonic()
        unfinished = [
            Unfinished(str(line.path.relative_to(self.folder)), _track(name), line.start / SAMPLE_RATE)
            for name, line in self._lines.items()
        ]
        self._index.write(unfinished, finished=finished)


def _track(line: str) -> str:
    """A line as it is called in the index."""
    return MIX_NAME if line == MIX else line


def _folder_name(text: str) -> str:
    """Of an id that others chose; where characters had to go, a part of its hash keeps it apart from others."""
    if text == MIX:
        return MIX_NAME
    safe = safe_name(text)
    if safe == text and text not in (INDEX, MIX_NAME):
        return safe
    return f"{safe}-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def _free(path: Path) -> Path:
    """The path, or with a number the first one that is free: a bot that was started again in the same slice."""
    number = 2
    found = path
    while found.exists():
        found = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return found
