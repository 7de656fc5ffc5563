"""Level meter: what tracks sound like, where nobody is asked what is said on them."""

from __future__ import annotations

import math

import numpy as np

from bot.audio.frame import AudioFrame
from bot.core.events import AudioHeard

REPORT_INTERVAL_S = 1.0
"""Seconds between reports of one track."""
MAX_TRACKS = 1_024
"""Tracks that are measured at once. Policy when full: the one that was heard of first begins anew."""


class LevelMeter:
    """Measures 16 kHz frames of any number of tracks."""

    def __init__(self) -> None:
        self._tracks: dict[str, tuple[float, int, float]] = {}  # since when, samples, energy

    def frame(self, frame: AudioFrame) -> AudioHeard | None:
        """Takes a piece of a track; about once a second says what the track sounded like."""
        since, samples, energy = self._tracks.get(frame.track_id, (frame.arrival, 0, 0.0))
        samples += len(frame.pcm)
        energy += float(np.square(frame.pcm, dtype=np.float64).sum())
        if frame.arrival - since < REPORT_INTERVAL_S:
            if frame.track_id not in self._tracks and len(self._tracks) >= MAX_TRACKS:
                del self._tracks[next(iter(self._tracks))]
            self._tracks[frame.track_id] = since, samples, energy
            return None
        self._tracks[frame.track_id] = frame.arrival, 0, 0.0
        level = 10 * math.log10(energy / samples / 32768**2) if energy > 0 else -math.inf
        return AudioHeard(frame.track_id, samples, level, False)
