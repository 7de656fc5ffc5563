"""A mixer: all tracks as one (`audio.mode: mixed`), one stream whoever speaks at once. Names come from the floor."""

from __future__ import annotations

import numpy as np

from bot.audio.frame import AudioFrame
from bot.audio.meter import Meter
from bot.audio.timeline import Timeline
from bot.core.events import MIX_TRACK, AudioHeard
from common.audio.pcm import SAMPLE_RATE

DELAY_SAMPLES = SAMPLE_RATE // 5
"""Samples (200 ms) for which the mix waits for tracks that come later than others."""
CAPACITY_SAMPLES = 2 * SAMPLE_RATE
"""Samples of the mix that are not handed on yet, at most (2 s); what is placed further ahead pushes the first out."""


class Mixer:
    """Adds up tracks on the meeting's clock.

    Args:
        zero: Monotonic seconds of meeting time zero.
    """

    def __init__(self, zero: float) -> None:
        self._zero = zero
        self._tracks: dict[str, tuple[Timeline, Meter]] = {}
        self._mix = np.zeros(CAPACITY_SAMPLES, np.int32)  # from meeting sample `_begin` on
        self._begin = 0  # everything before is handed on
        self._end = 0  # one past the last sample that any track has
        self._reports: list[AudioHeard] = []

    def frame(self, frame: AudioFrame) -> list[AudioFrame]:
        """Takes a piece of a track; returns what is ready of the mix. What comes too late for it is dropped."""
        timeline, meter = self._tracks.setdefault(frame.track_id, (Timeline(self._zero), Meter(frame.arrival)))
        if report := meter.measure(frame):
            self._reports.append(report)
        start = timeline.place(frame.position, frame.source, frame.arrival, len(frame.pcm))
        end = start + len(frame.pcm)
        ready = self._hand_on(end - CAPACITY_SAMPLES)
        if self._begin == self._end:
            self._begin = self._end = max(self._begin, start)
        pcm = frame.pcm[max(self._begin - start, 0) :]
        self._mix[end - len(pcm) - self._begin : end - self._begin] += pcm
        self._end = max(self._end, end)
        return ready + self.idle(frame.arrival)

    def idle(self, now: float) -> list[AudioFrame]:
        """What is ready of the mix by now although no track has sent more; to be called while it `holds` audio."""
        return self._hand_on(round((now - self._zero) * SAMPLE_RATE) - DELAY_SAMPLES)

    def flush(self) -> list[AudioFrame]:
        """All that there is of the mix: no more of it is waited for."""
        return self._hand_on(self._end)

    @property
    def holds(self) -> bool:
        """Some audio is not handed on yet."""
        return self._begin < self._end

    def close(self, track_id: str) -> bool:
        """No more audio on this track for now; it may go on later on a new clock. Whether it was the last that sent."""
        return self._tracks.pop(track_id, None) is not None and not self._tracks

    def reports(self) -> list[AudioHeard]:
        """What tracks sounded like, since the last call; whose speech it is, is not known."""
        reports, self._reports = self._reports, []
        return reports

    def _hand_on(self, until: int) -> list[AudioFrame]:
        """What the mix has before a meeting sample."""
        length = min(until, self._end) - self._begin
        if length <= 0:
            return []
        pcm = np.clip(self._mix[:length], -32768, 32767).astype(np.int16)
        position, kept = self._begin, self._end - self._begin - length
        self._mix[:kept] = self._mix[length : length + kept].copy()
        self._mix[kept:] = 0
        self._begin += length
        return [AudioFrame(MIX_TRACK, pcm, position, 1, self._zero + position / SAMPLE_RATE)]
