"""A meter: what a track sounds like, about once a second. Hearing health is judged by it."""

from __future__ import annotations

import math

import numpy as np

from bot.audio.frame import AudioFrame
from bot.core.events import AudioHeard

REPORT_INTERVAL_S = 1.0
"""Seconds between reports, of time and not of samples: a sender with DTX sends few while it is silent."""


class Meter:
    """The meter of one track.

    Args:
        since: Monotonic seconds of the first frame.
    """

    def __init__(self, since: float) -> None:
        self._since = since
        self._frames = self._samples = 0
        self._energy = 0.0
        self._spoke = False
        self.gated = self.sent = self.clear = 0
        """Samples since the last report that the speech gate let through, that went on a lane, and that were clear
        speech of utterances that ended there."""

    def measure(self, frame: AudioFrame, *, speech: bool = False) -> AudioHeard | None:
        """Takes a frame, in which there is `speech` or not; returns a report when one is due."""
        self._spoke |= speech
        self._frames += 1
        self._samples += len(frame.pcm)
        wide = frame.pcm.astype(np.float32)
        self._energy += float(np.dot(wide, wide))
        if frame.arrival - self._since < REPORT_INTERVAL_S:
            return None
        return self.report(frame.track_id, frame.arrival)

    def report(self, track_id: str, now: float, *, speech: bool = False) -> AudioHeard | None:
        """What came since the last report, and whether there was `speech` in it; None: nothing came."""
        heard = None
        if self._samples:
            mean = self._energy / self._samples / 32768.0**2
            level = 10 * math.log10(mean) if mean > 0 else float("-inf")
            spoke = self._spoke or speech
            passed = self._frames, self.gated, self.sent, self.clear
            heard = AudioHeard(track_id, self._samples, level, spoke, *passed)
            self._frames = self._samples = self.gated = self.sent = self.clear = 0
        self._energy, self._spoke, self._since = 0.0, False, now
        return heard
