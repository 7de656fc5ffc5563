"""Line of who waits for a lane: utterances with their audio, first come, first served. Most wait for no time at all."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bot.core.segments import Utterance


@dataclass(slots=True, eq=False)
class Said:
    """An utterance on its way to a lane. What waits of it is bounded with all audio of its track (see `AudioPlane`)."""

    track_id: str
    utterance: Utterance
    since: float
    """Monotonic seconds."""
    lane: int | None = None
    """Where it is; None: it waits."""
    start: int = 0
    """Meeting sample of the first one that waits."""
    samples: int = 0
    pieces: deque[NDArray[np.int16]] = field(default_factory=deque)

    def append(self, start: int, pcm: NDArray[np.int16]) -> None:
        """Its next samples: int16, shape (n,), from meeting sample `start` on."""
        if not self.samples:
            self.start = start
        self.pieces.append(pcm)
        self.samples += len(pcm)

    def drop(self, samples: int) -> None:
        """Gives up the oldest."""
        self.start += samples
        self.samples -= samples
        while samples:
            piece = self.pieces.popleft()
            if len(piece) > samples:
                self.pieces.appendleft(piece[samples:])
            samples -= min(len(piece), samples)


class WaitingLine:
    """Those who wait. An utterance without audio that has ended has nothing to wait for and goes."""

    def __init__(self) -> None:
        self._line: deque[Said] = deque()

    def add(self, track_id: str, utterance: Utterance, now: float) -> Said:
        """An utterance that begins now takes its place at the end."""
        self._line.append(Said(track_id, utterance, now))
        return self._line[-1]

    def ready(self, is_behind: Callable[[Said], bool]) -> Iterator[Said]:
        """Those who only want a lane, in their order; not who is behind earlier words of the same speaker."""
        behind: set[str] = set()
        for said in self._line:
            if said.utterance.speaker_id in behind or is_behind(said):
                behind.add(said.utterance.speaker_id)
            else:
                yield said

    def serve(self, said: Said) -> None:
        """It leaves the line."""
        self._line.remove(said)

    def samples(self, track_id: str | None = None) -> int:
        """How much audio of a track waits, or of all."""
        return sum(waiting.samples for waiting in self._line if track_id in (None, waiting.track_id))

    def drop(self, track_id: str, samples: int) -> Iterator[tuple[int, int]]:
        """Gives up the oldest of a track, all that waits at most; yields (start, length), meeting samples."""
        for waiting in [waiting for waiting in self._line if waiting.track_id == track_id]:
            length = min(samples, waiting.samples)
            if not length:
                continue
            yield waiting.start, length
            waiting.drop(length)
            samples -= length
            if not waiting.samples and waiting.utterance.end is not None:
                self._line.remove(waiting)

    @property
    def utterances(self) -> list[Utterance]:
        """Which, in their order."""
        return [waiting.utterance for waiting in self._line]

    def longest(self, now: float) -> float:
        """Seconds that the first has waited; 0.0 when nobody waits."""
        return now - self._line[0].since if self._line else 0.0

    def __len__(self) -> int:
        """Utterances that wait."""
        return len(self._line)
