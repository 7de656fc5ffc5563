"""Pauses of a room: when nobody has spoken on any track for a moment, by how loud each is beside its own noise.

For a change of roads (`bot.audio.handover`), which needs some pause and not each: in doubt somebody speaks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bot.audio.frame import AudioFrame
from common.audio.pcm import SAMPLE_RATE, dbfs

PAUSE_S = 0.5
"""Seconds without speech that are a pause: longer than those inside a sentence mostly are."""
ABOVE_NOISE_DB = 12.0
SILENCE_DBFS = -60.0
"""Below it nothing is speech."""
NOISE_RISE_DB = 1.5
"""A second by which the noise of a track is taken to rise until it proves to be less."""


@dataclass(slots=True)
class _Track:
    noise_dbfs: float
    loud_at: float


class Pauses:
    """Of one room."""

    def __init__(self) -> None:
        self._tracks: dict[str, _Track] = {}  # 64 bytes for each that was heard
        self._since = math.inf  # the first frame

    def frame(self, frame: AudioFrame) -> None:
        """A piece of a track."""
        self._since = min(self._since, frame.arrival)
        level = max(dbfs(frame.pcm), SILENCE_DBFS - ABOVE_NOISE_DB)
        track = self._tracks.setdefault(frame.track_id, _Track(level, -math.inf))
        risen = track.noise_dbfs + NOISE_RISE_DB * len(frame.pcm) / SAMPLE_RATE
        track.noise_dbfs = min(risen, level)
        if level > max(track.noise_dbfs + ABOVE_NOISE_DB, SILENCE_DBFS):
            track.loud_at = max(track.loud_at, frame.arrival)

    def middle(self, now: float) -> float | None:
        """A moment in the pause that goes on now (monotonic seconds); None: there is none."""
        loud_at = max((track.loud_at for track in self._tracks.values()), default=-math.inf)
        since = max(loud_at, self._since)
        return max(since, now - PAUSE_S) + PAUSE_S / 2 if now - since >= PAUSE_S else None
