"""Slices of a meeting for its recording: frames of tracks, at their place in the meeting, cut into files of one length.

Placed as the transcript is (`bot.audio.timeline`), so that its times fit. A file holds one line (a track, or the mix of
all) between two multiples of its length; what is not there between two pieces of a line was silence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bot.audio.frame import AudioFrame
from bot.audio.timeline import Timeline
from common.audio.pcm import SAMPLE_RATE

MIX = "\0mix"
"""The line of all tracks together: no track has such an id."""
HOLD_SAMPLES = SAMPLE_RATE
"""1 s that the mix waits for tracks that are behind; what comes later is left out of it."""
LATE_SAMPLES = 2 * SAMPLE_RATE
"""2 s after its end a slice is done: nothing comes for it any more."""
MAX_LINES = 256
"""Tracks that are followed. Policy when full: the one that was heard of first is done."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Samples of a line.

    Args:
        line: The track's id, or `MIX`.
        slice: Which file they belong to: number of its length since meeting time zero.
        start: Meeting sample of `pcm[0]`; never before the end of the piece before it.
        pcm: int16 mono at 16 kHz, shape (n,), n > 0.
    """

    line: str
    slice: int
    start: int
    pcm: NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Done:
    """No piece comes any more for a slice of a line."""

    line: str
    slice: int


Cut: TypeAlias = Piece | Done


class Slices:
    """Cuts one meeting.

    Args:
        zero: Monotonic seconds of meeting time zero.
        seconds: Length of a slice.
        per_track: Whether tracks are lines.
        mixed: Whether there is a line of all together.
    """

    def __init__(self, zero: float, seconds: int, *, per_track: bool, mixed: bool) -> None:
        self._zero, self._length, self._per_track = zero, seconds * SAMPLE_RATE, per_track
        self._timelines: dict[str, tuple[Timeline, int]] = {}  # and where the last piece ended
        self._open: dict[str, int] = {}  # line → its slice
        self._mix = _Mix() if mixed else None

    def frame(self, frame: AudioFrame) -> list[Cut]:
        """Takes a piece of a track."""
        timeline, end = self._timelines.get(frame.track_id) or (Timeline(self._zero), 0)
        start = timeline.place(frame.position, frame.source, frame.arrival, len(frame.pcm))
        pcm = frame.pcm[max(end - start, 0) :]
        start = max(start, end)
        self._timelines[frame.track_id] = timeline, start + len(pcm)
        cuts: list[Cut] = []
        if len(self._timelines) > MAX_LINES:
            cuts += self._forget(next(iter(self._timelines)))
        if self._per_track:
            cuts += self._cut(frame.track_id, start, pcm)
        if self._mix is not None:
            cuts += [cut for mixed in self._mix.add(start, pcm) for cut in self._cut(MIX, *mixed)]
        return cuts

    def tick(self, now: float) -> list[Cut]:
        """What time alone brings about. `now` is monotonic seconds; a few times a second is enough."""
        sample = round((now - self._zero) * SAMPLE_RATE)
        mixed = self._mix.until(sample - HOLD_SAMPLES) if self._mix is not None else []
        cuts = [cut for each in mixed for cut in self._cut(MIX, *each)]
        late = [line for line, slice in self._open.items() if sample >= (slice + 1) * self._length + LATE_SAMPLES]
        return [*cuts, *(Done(line, self._open.pop(line)) for line in late)]

    def finish(self) -> list[Cut]:
        """Everything that is left."""
        mixed = self._mix.until(None) if self._mix is not None else []
        cuts = [cut for each in mixed for cut in self._cut(MIX, *each)]
        return [*cuts, *(Done(line, self._open.pop(line)) for line in list(self._open))]

    def _forget(self, track_id: str) -> list[Cut]:
        del self._timelines[track_id]
        return [Done(track_id, self._open.pop(track_id))] if track_id in self._open else []

    def _cut(self, line: str, start: int, pcm: NDArray[np.int16]) -> Iterator[Cut]:
        """Parts it where slices begin."""
        while len(pcm):
            slice = start // self._length
            if self._open.get(line, slice) != slice:
                yield Done(line, self._open[line])
            self._open[line] = slice
            part = pcm[: (slice + 1) * self._length - start]
            yield Piece(line, slice, start, part)
            start, pcm = start + len(part), pcm[len(part) :]


class _Mix:
    """The sum of all tracks, as far as it is settled."""

    def __init__(self) -> None:
        self._sum = np.zeros(0, np.int32)
        self._begin = 0  # meeting sample of the first; what lies before has been given away

    def add(self, start: int, pcm: NDArray[np.int16]) -> list[tuple[int, NDArray[np.int16]]]:
        """Adds a piece; returns what is settled by it, as start and samples."""
        settled = self.until(start + len(pcm) - HOLD_SAMPLES) if start >= self._begin else []
        if len(self._sum) == 0:
            self._begin = max(start, self._begin)
        pcm = pcm[max(self._begin - start, 0) :]
        start = max(start, self._begin)
        missing = start + len(pcm) - self._begin - len(self._sum)
        if missing > 0:
            self._sum = np.concatenate([self._sum, np.zeros(missing, np.int32)])
        self._sum[start - self._begin : start - self._begin + len(pcm)] += pcm
        return settled

    def until(self, sample: int | None) -> list[tuple[int, NDArray[np.int16]]]:
        """What lies before a meeting sample; None: all."""
        count = len(self._sum) if sample is None else min(max(sample - self._begin, 0), len(self._sum))
        if not count:
            return []
        begin, part = self._begin, np.clip(self._sum[:count], -32768, 32767).astype(np.int16)
        self._begin, self._sum = begin + count, self._sum[count:]
        return [(begin, part)]
