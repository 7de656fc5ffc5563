"""Level meter: what tracks sound like, where nobody is asked what is said on them."""

from __future__ import annotations

from bot.audio.frame import AudioFrame
from bot.audio.meter import Meter
from bot.core.events import AudioHeard

MAX_TRACKS = 1_024
"""Tracks that are measured at once. Policy when full: the one that was heard of first begins anew."""


class LevelMeter:
    """Measures 16 kHz frames of any number of tracks."""

    def __init__(self) -> None:
        self._meters: dict[str, Meter] = {}

    def frame(self, frame: AudioFrame) -> AudioHeard | None:
        """Takes a piece of a track; about once a second says what the track sounded like."""
        meter = self._meters.get(frame.track_id)
        if meter is None:
            if len(self._meters) >= MAX_TRACKS:
                del self._meters[next(iter(self._meters))]
            meter = self._meters[frame.track_id] = Meter(frame.arrival)
        return meter.measure(frame)
