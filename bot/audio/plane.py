"""The audio plane of one meeting, end to end: frames of tracks in, orders to lanes out; text of lanes back to speakers.

    frame → timeline → speech gate → lane (+ ledger)          server time on a lane → ledger → utterance, meeting time

A straight line without I/O or clock; the runner hands the orders to the transcriber links.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bot.audio.frame import AudioFrame
from bot.audio.gate import End, GateSettings, Onset, Speech, SpeechGate
from bot.audio.lanes import Lanes
from bot.audio.sample_map import SampleMap
from bot.audio.timeline import Timeline
from bot.core.events import AudioHeard
from bot.core.segments import Utterance
from common.audio.pcm import SAMPLE_RATE
from common.audio.silero import SpeechProbability

REPORT_INTERVAL_S = 1.0
"""Seconds between reports of what a track sounds like."""
Whose: TypeAlias = Callable[[str], tuple[str, str] | None]
"""Track → (speaker id, display name now), or None when nobody who counts speaks on it."""


@dataclass(frozen=True, slots=True)
class LaneAudio:
    """Append to a lane (open it if it is new)."""

    lane: int
    pcm: NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class LaneEnd:
    """The utterance on this lane is complete."""

    lane: int


LaneOrder: TypeAlias = LaneAudio | LaneEnd


@dataclass(slots=True)
class _Track:
    timeline: Timeline
    gate: SpeechGate
    measured_at: float
    speaker: tuple[str, str]
    """Id and name, as of the last frame."""
    lane: int = 0
    utterance: Utterance | None = None
    frames: int = 0  # since the last report, as what follows
    samples: int = 0
    energy: float = 0.0
    gated: int = 0
    sent: int = 0
    spoke: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """Where a stretch of a lane came from."""

    utterance: Utterance
    start: int
    """Meeting sample."""
    end: int


class AudioPlane:
    """All tracks of a meeting.

    Args:
        zero: Monotonic seconds of meeting time zero.
        new_probability: Makes the speech detector of one track.
        whose: Looks up who speaks on a track.
        gate: Settings of the speech gates.
    """

    def __init__(
        self,
        zero: float,
        new_probability: Callable[[], SpeechProbability],
        whose: Whose,
        gate: GateSettings | None = None,
    ) -> None:
        self._zero = zero
        self._new_probability = new_probability
        self._whose = whose
        self._gate = gate or GateSettings()
        self._tracks: dict[str, _Track] = {}
        self._lanes = Lanes()
        self._ledgers: dict[int, SampleMap[Utterance]] = {}
        self._open: dict[int, list[Utterance]] = {}  # of each lane: not decided yet, oldest first
        self._utterances = 0
        self._reports: list[AudioHeard] = []

    def frame(self, frame: AudioFrame) -> list[LaneOrder]:
        """Takes one piece of a track and says what to send where."""
        speaker = self._whose(frame.track_id)
        if speaker is None:
            return []
        track = self._tracks.get(frame.track_id)
        if track is None:
            gate = SpeechGate(self._new_probability(), self._gate)
            track = self._tracks[frame.track_id] = _Track(Timeline(self._zero), gate, frame.arrival, speaker)
        track.speaker = speaker
        start = track.timeline.place(frame.position, frame.source, frame.arrival, len(frame.pcm))
        orders = list(self._follow(frame.track_id, track, track.gate.push(start, frame.pcm), frame.arrival))
        self._measure(track, frame)
        return orders

    def idle(self, now: float) -> list[LaneOrder]:
        """Ends utterances on tracks that stopped sending; to be called several times a second while somebody speaks."""
        heard = round((now - self._zero) * SAMPLE_RATE)
        orders: list[LaneOrder] = []
        for track_id, track in self._tracks.items():
            if track.utterance is not None:
                orders += self._follow(track_id, track, track.gate.idle(heard), now)
        return orders

    @property
    def speaking(self) -> bool:
        """Somebody's utterance is open."""
        return any(track.utterance is not None for track in self._tracks.values())

    def close(self, track_id: str, now: float) -> list[LaneOrder]:
        """No more audio on this track for now: ends what is being said. The track may go on later on a new clock."""
        track = self._tracks.pop(track_id, None)
        return list(self._follow(track_id, track, track.gate.flush(), now)) if track else []

    def close_all(self, now: float) -> list[LaneOrder]:
        """Ends what is being said on every track."""
        return [order for track_id in list(self._tracks) for order in self.close(track_id, now)]

    def reports(self) -> list[AudioHeard]:
        """What tracks sounded like, since the last call."""
        reports, self._reports = self._reports, []
        return reports

    def idle_lanes(self, now: float) -> list[int]:
        """Lanes to close for want of speech."""
        idle = [lane for lane in self._lanes.idle(now) if not self._open[lane]]
        for lane in idle:
            self._lanes.close(lane)
            del self._ledgers[lane], self._open[lane]
        return idle

    def renew_lanes(self) -> None:
        """Later utterances open new lanes."""
        self._lanes.renew()

    def find(self, lane: int, start: int, end: int) -> Found | None:
        """Whose speech the lane's samples [start, end) are, by their middle. None for a lane that is gone."""
        ledger = self._ledgers.get(lane)
        middle = ledger.locate((start + end) // 2) if ledger else None
        first, last = (ledger.locate(start), ledger.locate(max(end - 1, start))) if ledger else (None, None)
        if middle is None or first is None or last is None:
            return None
        utterance = middle.tag
        return Found(
            utterance,
            first.origin if first.tag is utterance else utterance.onset,
            last.origin + 1 if last.tag is utterance or utterance.end is None else utterance.end,
        )

    def decided(self, lane: int, sample: int) -> list[Utterance]:
        """Everything before the lane's `sample` is decided; returns the utterances that are thereby complete."""
        ledger = self._ledgers.get(lane)
        if ledger is None:
            return []
        done = []
        waiting = self._open[lane]
        while waiting and waiting[0].end is not None:
            place = ledger.locate(sample)
            over = sample >= ledger.end or (place is not None and place.tag.number > waiting[0].number)
            if not over:
                break
            done.append(waiting.pop(0))
        ledger.forget(sample)
        return done

    def _follow(
        self, track_id: str, track: _Track, events: Iterable[Onset | Speech | End], now: float
    ) -> Iterable[LaneOrder]:
        for event in events:
            if isinstance(event, Onset):
                self._begin(track_id, track, event, now)
                continue
            said = track.utterance
            assert said is not None  # the gate speaks only between Onset and End
            if isinstance(event, Speech):
                track.spoke = True
                self._ledgers[track.lane].note(len(event.pcm), event.start, said)
                track.gated += len(event.pcm)
                track.sent += len(event.pcm)
                yield LaneAudio(track.lane, event.pcm)
            else:
                said.end = max(event.end, said.onset + 1)
                track.utterance = None
                self._lanes.rest(track.lane, now)
                self._report(track_id, track, now)  # a later report would be about speech that is answered by then
                yield LaneEnd(track.lane)

    def _begin(self, track_id: str, track: _Track, onset: Onset, now: float) -> None:
        self._utterances += 1
        track.utterance = Utterance(self._utterances, *track.speaker, onset.speech)
        track.lane = self._lanes.seat(track_id, now)
        self._ledgers.setdefault(track.lane, SampleMap())
        self._open.setdefault(track.lane, []).append(track.utterance)

    def _measure(self, track: _Track, frame: AudioFrame) -> None:
        """About once a second of time, not of samples: a sender with DTX sends few while it is silent."""
        track.frames += 1
        track.samples += len(frame.pcm)
        track.energy += float(np.square(frame.pcm, dtype=np.float64).sum())
        if frame.arrival - track.measured_at >= REPORT_INTERVAL_S:
            self._report(frame.track_id, track, frame.arrival)

    def _report(self, track_id: str, track: _Track, now: float) -> None:
        if track.samples:
            mean = track.energy / track.samples / 32768.0**2
            level = 10 * math.log10(mean) if mean > 0 else float("-inf")
            self._reports.append(
                AudioHeard(track_id, track.samples, level, track.spoke, track.frames, track.gated, track.sent)
            )
            track.frames = track.samples = track.gated = track.sent = 0
        track.energy, track.spoke, track.measured_at = 0.0, track.utterance is not None, now
