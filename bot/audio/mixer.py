"""A mixer: all tracks as one (`audio.mode: mixed`), one stream whoever speaks at once.

Each track goes through a speech gate, which lets nothing through here: it tells who was heard when (`bot.audio.turns`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from bot.audio.frame import AudioFrame
from bot.audio.gate import End, GateEvent, Onset, SpeechGate
from bot.audio.meter import Meter
from bot.audio.timeline import Timeline
from bot.audio.turns import Turns
from bot.core.events import MIX_TRACK, AudioHeard
from common.audio.pcm import SAMPLE_RATE
from common.audio.silero import SpeechProbability

DELAY_SAMPLES = SAMPLE_RATE // 5
"""Samples (200 ms) for which the mix waits for tracks that come later than others."""
CAPACITY_SAMPLES = 2 * SAMPLE_RATE
"""Samples of the mix that are not handed on yet, at most (2 s); what is placed further ahead pushes the first out."""


@dataclass(slots=True)
class _Track:
    timeline: Timeline
    meter: Meter
    gate: SpeechGate
    late: float
    """Seconds, as of the first frame."""
    heard_at: float = 0.0  # monotonic seconds until which something came


class Mixer:
    """Adds up tracks on the meeting's clock.

    Args:
        zero: Monotonic seconds of meeting time zero.
        new_probability: Makes the speech detector of one track.
        whose: Track → (speaker id, name; empty for a track of several), None when nobody who counts speaks on it.
    """

    def __init__(
        self,
        zero: float,
        new_probability: Callable[[], SpeechProbability],
        whose: Callable[[str], tuple[str, str] | None],
    ) -> None:
        self._zero = zero
        self._new_probability = new_probability
        self._whose = whose
        self.turns = Turns(zero)
        """Who was heard when."""
        self._tracks: dict[str, _Track] = {}
        self._mix = np.zeros(CAPACITY_SAMPLES, np.int32)  # from meeting sample `_begin` on
        self._begin = 0  # everything before is handed on
        self._end = 0  # one past the last sample that any track has
        self._reports: list[AudioHeard] = []

    def frame(self, frame: AudioFrame) -> list[AudioFrame]:
        """Takes a piece of a track; returns what is ready of the mix. What comes too late for it is dropped."""
        speaker = self._whose(frame.track_id)
        if speaker is None:
            return []
        track = self._tracks.get(frame.track_id)
        if track is None:
            gate = SpeechGate(self._new_probability())
            track = _Track(Timeline(self._zero), Meter(frame.arrival), gate, frame.late)
            self._tracks[frame.track_id] = track
        if report := track.meter.measure(frame):
            self._reports.append(report)
        track.heard_at = max(track.heard_at, frame.arrival + frame.late + len(frame.pcm) / SAMPLE_RATE)
        start = track.timeline.place(frame.position, frame.source, frame.arrival, len(frame.pcm))
        self._follow(frame.track_id, track.gate.push(start, frame.pcm), speaker[0] if speaker[1] else None)
        end = start + len(frame.pcm)
        ready = self._hand_on(end - CAPACITY_SAMPLES)
        if self._begin == self._end:
            self._begin = self._end = max(self._begin, start)
        pcm = frame.pcm[max(self._begin - start, 0) :]
        self._mix[end - len(pcm) - self._begin : end - self._begin] += pcm
        self._end = max(self._end, end)
        return ready + self._by_now(frame.arrival + frame.late)

    def idle(self, now: float) -> list[AudioFrame]:
        """What is ready of the mix by now although no track has sent more; to be called while it `holds` audio."""
        for track_id, track in self._tracks.items():
            self._follow(track_id, track.gate.idle(round((now - track.heard_at) * SAMPLE_RATE)))
        return self._by_now(now)

    def flush(self) -> list[AudioFrame]:
        """All that there is of the mix: no more of it is waited for."""
        return self._hand_on(self._end)

    @property
    def holds(self) -> bool:
        """Some audio is not handed on yet."""
        return self._begin < self._end

    def close(self, track_id: str) -> bool:
        """No more audio on this track for now; it may go on later on a new clock. Whether it was the last that sent."""
        track = self._tracks.pop(track_id, None)
        if track is not None:
            self._follow(track_id, track.gate.flush())
        return track is not None and not self._tracks

    def reports(self) -> list[AudioHeard]:
        """What tracks sounded like, since the last call; whose speech it is, is not known."""
        reports, self._reports = self._reports, []
        return reports

    def _by_now(self, now: float) -> list[AudioFrame]:
        late = max((track.late for track in self._tracks.values()), default=0.0)
        return self._hand_on(round((now - late - self._zero) * SAMPLE_RATE) - DELAY_SAMPLES)

    def _follow(self, track_id: str, events: Iterable[GateEvent], speaker: str | None = None) -> None:
        for event in events:
            if isinstance(event, Onset):
                self.turns.began(track_id, speaker, event.speech)
            elif isinstance(event, End):
                self.turns.ended(track_id, event.end)

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
