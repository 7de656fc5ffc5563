"""Transcription: frames of tracks in, segments out; the audio plane on its lanes to the transcriber and back.

frame ──▶ AudioPlane ──▶ lanes ──▶ transcriber
segment ◀── SegmentTracker ◀── AudioPlane (whose, when) ◀── text ◀──┘
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Protocol
from uuid import uuid4

import structlog

from bot.audio.floor import Floor
from bot.audio.frame import AudioFrame
from bot.audio.plane import AudioPlane, LaneAudio, LaneOrder, Whose
from bot.config import BotConfig
from bot.core.events import AudioHeard, UtteranceDecided
from bot.core.requests import SpeechSettings
from bot.core.segments import SegmentTracker
from bot.links.transcriber.conversation import EXTENSIONS, LaneText
from bot.links.transcriber.lane import Lane, probe
from common.audio.pcm import SAMPLE_RATE
from common.audio.silero import SileroModel
from common.contracts.segments import Segment, Word
from common.whisperlive.protocol import Handshake, Resume

HOUSEKEEPING_S = 5.0
"""Between looks at idle lanes."""
STALLED_TRACK_POLL_S = 0.03
"""Between looks at tracks that may have stopped sending while somebody speaks."""
UNKNOWN_SPEAKER = "unknown"
"""Name of a mix's speech whose speaker nobody can say; its `speaker_id` is the track's id."""

log = structlog.get_logger(__name__)


class TranscriptionListener(Protocol):
    """Who hears what comes of the audio."""

    def segment(self, segment: Segment) -> None:
        """A partial or a final."""

    def heard(self, report: AudioHeard) -> None:
        """What a track sounded like."""

    def decided(self, utterance: UtteranceDecided) -> None:
        """The transcriber has no open question about an utterance any more."""

    def transcriber(self, up: bool, detail: str) -> None:
        """A connection to a transcriber was made or lost."""


class Transcription:
    """The speech of one meeting. Implements `bot.links.transcriber.lane.LaneListener`.

    Args:
        config: Transcribers, languages, ids.
        token: What transcribers are told as token; never one that opens the room.
        whose: Looks up who speaks on a track; without a name where that is not known: a mix.
        name: Looks up the display name of a participant.
        listener: Called from the event loop.
        spawn: Starts a lane's task and owns it.
    """

    def __init__(
        self,
        config: BotConfig,
        token: str | None,
        whose: Whose,
        name: Callable[[str], str],
        listener: TranscriptionListener,
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
    ) -> None:
        self._config = config
        self._token = token
        self._whose, self._name = whose, name
        self._listener = listener
        self._spawn = spawn
        self._speech = config.speech()
        self._paused = False
        self._vad = SileroModel()
        self._floor: Floor | None = None
        self._plane: AudioPlane | None = None  # from the first admission on
        self._tracker: SegmentTracker | None = None
        self._lanes: dict[int, tuple[Lane, asyncio.Task[None]]] = {}

    async def probe(self) -> None:
        """Looks whether a transcriber takes audio. Raises EarshotError naming each that does not."""
        await probe(self._config.transcriber_urls, self._handshake(0), self._api_key)

    def start(self, now: float, wall: float) -> None:
        """Meeting time zero: `now` on the monotonic clock, `wall` in Unix seconds."""
        self._floor = Floor(now)
        self._plane = AudioPlane(now, self._vad.stream, self._whose)
        self._tracker = SegmentTracker(self._config.connection_id, wall)

    # --- audio on its way out ---------------------------------------------------------------------------------------

    def frame(self, frame: AudioFrame) -> None:
        """Takes a piece of a track; before `start`, and while paused, nobody listens."""
        if self._plane is None or self._paused:
            return
        self._order(self._plane.frame(frame))
        for report in self._plane.reports():
            level = round(report.level_dbfs, 1)
            log.debug("track.heard", track=report.track_id, level_dbfs=level, speech=report.speech)
            self._listener.heard(report)

    def close_track(self, track_id: str, now: float) -> None:
        """No more audio on this track for now: ends what is being said."""
        if self._plane is not None:
            self._order(self._plane.close(track_id, now))

    def tick(self, now: float) -> float:
        """Ends utterances of tracks that stopped sending, closes idle lanes; returns seconds until the next look."""
        if self._plane is None:
            return HOUSEKEEPING_S
        self._order(self._plane.idle(now))
        for number in self._plane.idle_lanes(now):
            lane, _ = self._lanes.pop(number)
            lane.close()
        return STALLED_TRACK_POLL_S if self._plane.speaking else HOUSEKEEPING_S

    def reconfigure(self, speech: SpeechSettings) -> None:
        """Later utterances are transcribed like this, on new lanes; what is being said goes on where it began."""
        self._speech = speech
        if self._plane is not None:
            self._plane.renew_lanes()
        log.info("bot.reconfigured", **dataclasses.asdict(speech))

    def pause(self, paused: bool, now: float) -> None:
        """Ends what is being said and takes no more audio, or takes it again."""
        self._paused = paused
        if paused and self._plane is not None:
            self._order(self._plane.close_all(now))

    def follow_floor(self, participant_ids: frozenset[str], at: float) -> None:
        """These people hold the floor of mixed tracks from `at` (monotonic seconds) on."""
        if self._floor is not None:
            self._floor.report(participant_ids, at)

    async def finish(self, now: float, timeout: float) -> float:
        """Ends every utterance and waits, `timeout` seconds at most, for its text; returns undecided seconds."""
        if self._plane is not None:
            self._order(self._plane.close_all(now))
        for lane, _ in self._lanes.values():
            lane.close()
        if self._lanes:
            _, late = await asyncio.wait([task for _, task in self._lanes.values()], timeout=max(timeout, 0.0))
            for task in late:  # what it would say now would come after the session's end
                task.cancel()
        return sum(lane.undecided for lane, _ in self._lanes.values()) / SAMPLE_RATE

    def _order(self, orders: list[LaneOrder]) -> None:
        for order in orders:
            if isinstance(order, LaneAudio):
                self._lane(order.lane).append(order.pcm)
            else:
                self._lane(order.lane).end_utterance()

    def _lane(self, number: int) -> Lane:
        if number not in self._lanes:
            backoff = self._config.reconnection_interval_ms / 1000
            lane = Lane(number, self._config.transcriber_urls, self._handshake, self, backoff, self._api_key)
            self._lanes[number] = lane, self._spawn(lane.run(), f"lane-{number}")
        return self._lanes[number][0]

    @property
    def _api_key(self) -> str | None:
        key = self._config.transcriber_api_key
        return key.get_secret_value() if key else None

    def _handshake(self, sample: int) -> Handshake:
        config = self._config
        return Handshake(
            uid=str(uuid4()),
            language=self._speech.language,
            task=self._speech.task,
            same_output_threshold=2,
            extensions=EXTENSIONS,
            allowed_languages=frozenset(self._speech.allowed_languages),
            resume=Resume(config.connection_id, sample) if sample else None,
            platform=config.platform,
            meeting_url=config.meeting_url or config.platform,
            token=self._token or config.connection_id,  # the older fork wants one
            meeting_id=config.native_meeting_id or config.meeting_id,
        )

    # --- text on its way back ---------------------------------------------------------------------------------------

    def text(self, lane: int, text: LaneText) -> None:
        """A lane has text: finds its speaker and time, and hands on what is new."""
        found = self._plane.find(lane, text.start, text.end) if self._plane else None
        if found is None or self._tracker is None:
            return
        wire = text.wire
        offset = found.start / SAMPLE_RATE - wire.start
        words = [Word(w.word, w.start + offset, w.end + offset, w.probability) for w in wire.words or ()]
        segment = self._tracker.update(
            found.utterance, found.start, found.end, wire.text, wire.completed, wire.language, words
        )
        if segment is not None:
            self._listener.segment(segment if segment.speaker else self._named(segment))

    def _named(self, segment: Segment) -> Segment:
        """A mix's segment under the name of whoever held the floor, or of nobody where that cannot be said."""
        first, end = round(segment.start * SAMPLE_RATE), round(segment.end * SAMPLE_RATE)
        speaker = self._floor.speaker(first, end) if self._floor else None
        if speaker is None:
            return replace(segment, speaker=UNKNOWN_SPEAKER)
        return replace(segment, speaker=self._name(speaker), speaker_id=speaker)

    def decided(self, lane: int, sample: int) -> None:
        """A lane has no open question before `sample`."""
        if self._plane is None or self._tracker is None:
            return
        for utterance in self._plane.decided(lane, sample):
            length = (utterance.end or utterance.onset) - utterance.onset
            self._listener.decided(UtteranceDecided(utterance.speaker_id, length))
            taken_back = self._tracker.decided(utterance)
            if taken_back is not None:
                self._listener.segment(taken_back)

    def link(self, up: bool, detail: str) -> None:
        """A lane's connection was made or lost."""
        self._listener.transcriber(up, detail)
