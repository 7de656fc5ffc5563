"""The audio plane of one meeting, end to end: frames of tracks in, orders to lanes out; text of lanes back to speakers.

    frame → timeline → speech gate → lane (+ ledger)          lane time of text → ledger → utterance, meeting time
                                   ↘ waiting line ↗

A straight line without I/O or clock. The runner hands the orders to the transcriber links, and what these hear comes
back: what a server grants, and what it has decided. That frees lanes, for which others may wait (`bot.audio.lanes`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bot.audio.frame import AudioFrame
from bot.audio.gaps import Gap, Gaps
from bot.audio.gate import End, GateSettings, Onset, Speech, SpeechGate
from bot.audio.lanes import Lanes
from bot.audio.ledger import Found, Ledger
from bot.audio.meter import Meter
from bot.audio.replay import CAPACITY_SAMPLES
from bot.audio.timeline import Timeline
from bot.audio.waiting import Said, WaitingLine
from bot.core.events import AudioHeard
from bot.core.segments import Utterance
from common.audio.pcm import SAMPLE_RATE
from common.audio.silero import SpeechProbability

LONGEST_WAIT_S = 5.0
"""Seconds that somebody waits for a lane before an utterance without a pause has to end for them."""

CLEAR_SAMPLES, CLEAR_SHARE = SAMPLE_RATE, 0.5
"""An utterance is clear speech if so many of its samples are, and so much of it."""

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


@dataclass(frozen=True, slots=True)
class LaneDrop:
    """Give up what the lane has kept from before this sample: its track has more than is kept."""

    lane: int
    sample: int


@dataclass(frozen=True, slots=True)
class LaneClose:
    """Close the lane: everything on it is decided."""

    lane: int


@dataclass(frozen=True, slots=True)
class Completed:
    """The transcriber has nothing more to say about this utterance."""

    utterance: Utterance


PlaneOrder: TypeAlias = LaneAudio | LaneEnd | LaneDrop | LaneClose | Completed


@dataclass(slots=True)
class _Track:
    timeline: Timeline
    gate: SpeechGate
    meter: Meter
    speaker: tuple[str, str]
    """Id and name, as of the last frame."""
    heard_at: float = 0.0
    """Monotonic seconds until which something came."""
    said: Said | None = None
    """The open utterance."""
    spoke: bool = False  # since the last frame


class AudioPlane:
    """All tracks of a meeting. What a track has undecided, on a lane or waiting, is at most `CAPACITY_SAMPLES`; beyond
    that the oldest is given up and becomes a gap.

    Args:
        zero: Monotonic seconds of meeting time zero.
        new_probability: Makes the speech detector of one track.
        whose: Looks up who speaks on a track.
        lanes: The seating plan.
        gate: Settings of the speech gates.
    """

    def __init__(
        self,
        zero: float,
        new_probability: Callable[[], SpeechProbability],
        whose: Whose,
        lanes: Lanes,
        gate: GateSettings | None = None,
    ) -> None:
        self._zero = zero
        self._new_probability = new_probability
        self._whose = whose
        self._gate = gate or GateSettings()
        self._tracks: dict[str, _Track] = {}
        self._lanes = lanes
        self._ledgers: dict[int, Ledger] = {}
        self._line = WaitingLine()
        self._gaps = Gaps()
        self._utterances = 0
        self._reports: list[AudioHeard] = []

    # --- audio on its way out ---------------------------------------------------------------------------------------

    def frame(self, frame: AudioFrame) -> list[PlaneOrder]:
        """Takes one piece of a track and says what to send where."""
        speaker = self._whose(frame.track_id)
        if speaker is None:
            return []
        track = self._tracks.get(frame.track_id)
        if track is None:
            gate = SpeechGate(self._new_probability(), self._gate)
            track = self._tracks[frame.track_id] = _Track(Timeline(self._zero), gate, Meter(frame.arrival), speaker)
        track.speaker = speaker
        track.heard_at = max(track.heard_at, frame.arrival + frame.late + len(frame.pcm) / SAMPLE_RATE)
        start = track.timeline.place(frame.position, frame.source, frame.arrival, len(frame.pcm))
        orders = list(self._follow(frame.track_id, track, track.gate.push(start, frame.pcm), frame.arrival))
        is_speech, track.spoke = track.spoke or track.said is not None, False
        if report := track.meter.measure(frame, speech=is_speech):
            self._reports.append(report)
        return orders

    def idle(self, now: float) -> list[PlaneOrder]:
        """Ends utterances on tracks that stopped sending, and those that keep others waiting.

        To be called several times a second while somebody speaks.
        """
        orders: list[PlaneOrder] = []
        for track_id, track in self._tracks.items():
            if track.said is not None:
                quiet = round((now - track.heard_at) * SAMPLE_RATE)
                orders += self._follow(track_id, track, track.gate.idle(quiet), now)
        return orders + list(self._make_way(now))

    @property
    def speaking(self) -> bool:
        """Somebody's utterance is open."""
        return any(track.said is not None for track in self._tracks.values())

    def close(self, track_id: str, now: float) -> list[PlaneOrder]:
        """No more audio on this track for now: ends what is being said. The track may go on later on a new clock."""
        track = self._tracks.pop(track_id, None)
        return list(self._follow(track_id, track, track.gate.flush(), now)) if track else []

    def close_all(self, now: float) -> list[PlaneOrder]:
        """Ends what is being said on every track."""
        return [order for track_id in list(self._tracks) for order in self.close(track_id, now)]

    def reports(self) -> list[AudioHeard]:
        """What tracks sounded like, since the last call."""
        reports, self._reports = self._reports, []
        return reports

    # --- lanes ------------------------------------------------------------------------------------------------------

    def granted(self, lane: int, extensions: frozenset[str]) -> None:
        """A server has greeted a connection of this lane."""
        self._lanes.granted(lane, extensions)

    def decided(self, lane: int, sample: int, now: float) -> list[PlaneOrder]:
        """Everything before the lane's `sample` is decided: utterances are complete, and a lane may be free."""
        ledger = self._ledgers.get(lane)
        if ledger is None:
            return []
        if holder := self._lanes.holder(lane):
            self._gaps.answered(holder)
        return list(self._settle(lane, ledger.decided(sample), now))

    def close_idle(self, now: float) -> list[PlaneOrder]:
        """Closes lanes for want of speech."""
        return [self._close_lane(lane) for lane in self._lanes.close_idle(now)]

    def renew_lanes(self) -> list[PlaneOrder]:
        """Later utterances open new lanes; closes those that have nothing to finish."""
        return [self._close_lane(lane) for lane in self._lanes.renew()]

    def gaps(self, now: float, *, at_the_end: bool = False) -> list[Gap]:
        """Losses that have come to their end since the last call; all there are `at_the_end` of the meeting."""
        return self._gaps.over(now, at_the_end=at_the_end)

    def waiting(self, now: float) -> tuple[int, float]:
        """Utterances that wait for a lane, and for how many seconds the first of them has."""
        return len(self._line), self._line.longest(now)

    def undecided(self) -> tuple[list[Utterance], int]:
        """Utterances that have begun and are not complete, and how many samples are not decided."""
        ledgers = self._ledgers.values()
        utterances = [utterance for ledger in ledgers for utterance in ledger.undecided_utterances]
        return utterances + self._line.utterances, sum(ledger.undecided for ledger in ledgers) + self._line.samples()

    # --- text on its way back ---------------------------------------------------------------------------------------

    def find(self, lane: int, start: int, end: int) -> Found | None:
        """Whose speech the lane's samples [start, end) are, by their middle. None: nobody's."""
        ledger = self._ledgers.get(lane)
        return ledger.find(start, end) if ledger else None

    # --- inside -----------------------------------------------------------------------------------------------------

    def _follow(
        self, track_id: str, track: _Track, events: Iterable[Onset | Speech | End], now: float
    ) -> Iterator[PlaneOrder]:
        for event in events:
            if isinstance(event, Onset):
                yield from self._begin(track_id, track, event, now)
                continue
            said = track.said
            assert said is not None  # the gate speaks only between Onset and End
            if isinstance(event, Speech):
                track.spoke = True
                track.meter.gated += len(event.pcm)
                yield from self._make_room(track_id, len(event.pcm), now)
                if said.lane is None:
                    said.append(event.start, event.pcm)
                else:
                    yield self._put(said, said.lane, event.start, event.pcm)
                continue
            track.said = None
            said.utterance.end = max(event.end, said.utterance.onset + 1)
            if said.lane is not None and event.clear >= max(CLEAR_SAMPLES, CLEAR_SHARE * said.utterance.length):
                track.meter.clear += event.clear
            self._end_speech(track_id, track, now)
            if said.lane is not None:
                yield LaneEnd(said.lane)
                yield from self._settle(said.lane, self._ledgers[said.lane].settle(), now)

    def _begin(self, track_id: str, track: _Track, onset: Onset, now: float) -> Iterator[PlaneOrder]:
        self._utterances += 1
        track.said = self._line.add(track_id, Utterance(self._utterances, *track.speaker, onset.speech), now)
        yield from self._serve()

    def _serve(self) -> Iterator[PlaneOrder]:
        """Seats those who wait, in their order, as far as there are lanes."""
        while said := next(self._line.ready(self._is_behind), None):
            said.lane, closed = self._lanes.seat(said.track_id)
            if closed is not None:
                yield self._close_lane(closed)
            if said.lane is None:
                return
            self._line.serve(said)
            self._ledgers.setdefault(said.lane, Ledger()).begin(said.utterance)
            while said.pieces:
                pcm = said.pieces.popleft()
                yield self._put(said, said.lane, said.start, pcm)
                said.start += len(pcm)
            if said.utterance.end is not None:
                yield LaneEnd(said.lane)

    def _is_behind(self, said: Said) -> bool:
        """Earlier words of the same speaker or track, which have ended, are undecided where these would not follow."""
        own = said.utterance.speaker_id
        return any(
            utterance.end is not None and (utterance.speaker_id == own or self._lanes.holder(lane) == said.track_id)
            for lane, ledger in self._ledgers.items()
            if not self._lanes.seats(said.track_id, lane)
            for utterance in ledger.undecided_utterances
        )

    def _make_way(self, now: float) -> Iterator[PlaneOrder]:
        """Ends the utterances that are longest on their lanes for those who have waited for long.

        No more of them than need be: where nothing is open any more a lane only waits for decisions. What is said on
        is the next utterance, and queues.
        """
        if self._line.longest(now) < LONGEST_WAIT_S:
            return
        ready = self._line.ready(self._is_behind)
        late = len({said.track_id for said in ready if now - said.since >= LONGEST_WAIT_S})
        talking = {key: track.said for key, track in self._tracks.items() if track.said and track.said.lane is not None}
        ending = sum(bool(ledger.undecided_utterances) for ledger in self._ledgers.values()) - len(talking)
        for track_id in sorted(talking, key=lambda key: talking[key].utterance.number)[: max(late - ending, 0)]:
            track = self._tracks[track_id]
            yield from self._follow(track_id, track, track.gate.flush(), now)

    def _end_speech(self, track_id: str, track: _Track, now: float) -> None:
        """Reports at once: a later report would be about speech that is answered by then."""
        speech, track.spoke = track.spoke, False
        if report := track.meter.report(track_id, now, speech=speech):
            self._reports.append(report)

    def _put(self, said: Said, lane: int, start: int, pcm: NDArray[np.int16]) -> LaneAudio:
        if track := self._tracks.get(said.track_id):
            track.meter.sent += len(pcm)
        self._ledgers[lane].note(len(pcm), start)
        return LaneAudio(lane, pcm)

    def _settle(self, lane: int, complete: list[Utterance], now: float) -> Iterator[PlaneOrder]:
        yield from map(Completed, complete)
        if not complete:
            return
        if not self._ledgers[lane].undecided_utterances and not self._lanes.free(lane, now):
            yield self._close_lane(lane)
        yield from self._serve()

    def _make_room(self, track_id: str, more: int, now: float) -> Iterator[PlaneOrder]:
        """Gives up the oldest of a track's undecided audio, as far as there is no room for `more` samples."""
        lane = self._lanes.held_by(track_id)
        ledger = None if lane is None else self._ledgers[lane]
        kept = self._line.samples(track_id) + (ledger.undecided if ledger else 0)
        too_much = kept + more - CAPACITY_SAMPLES
        if too_much <= 0:
            return
        complete: list[Utterance] = []
        if lane is not None and ledger and (samples := min(too_much, ledger.undecided)):
            sample, start = ledger.drop(samples)
            self._gaps.lost(track_id, start, samples, now)
            too_much -= samples
            complete = ledger.settle()
            yield LaneDrop(lane, sample)
        for start, samples in self._line.drop(track_id, too_much):
            self._gaps.lost(track_id, start, samples, now)
        if lane is not None:
            yield from self._settle(lane, complete, now)

    def _close_lane(self, lane: int) -> LaneClose:
        del self._ledgers[lane]
        return LaneClose(lane)
