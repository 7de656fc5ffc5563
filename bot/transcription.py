"""Transcription: frames of tracks in, segments out; the audio plane on its lanes to the transcriber and back.

frame ──▶ AudioPlane ──▶ lanes ──▶ transcriber
segment ◀── SegmentTracker ◀── AudioPlane (whose, when) ◀── text ◀──┘

What the plane orders is done here, and what lanes hear is told to the plane, which may order more: a lane that is free
is for whoever waits. Who waits long, what was lost, and text that belongs to nobody is reported from here.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any, Protocol
from uuid import uuid4

import structlog

from bot.audio.attribution import Attribution
from bot.audio.floor import Floor
from bot.audio.frame import AudioFrame
from bot.audio.lanes import Lanes
from bot.audio.mixer import Mixer
from bot.audio.plane import (
    AudioPlane,
    Completed,
    LaneAudio,
    LaneClose,
    LaneDrop,
    LaneEnd,
    PlaneOrder,
    Whose,
)
from bot.config import BotConfig
from bot.core.effects import PublishText, ReportHealth
from bot.core.events import MIX_TRACK, AudioHeard, SpeechSettled, UtteranceDecided
from bot.core.lane_speech import LaneSpeech
from bot.core.requests import SpeechSettings
from bot.core.segments import UNKNOWN_SPEAKER, SegmentTracker
from bot.links.transcriber.conversation import EXTENSIONS, LaneText
from bot.links.transcriber.lane import Lane
from bot.links.transcriber.link import TranscriberLink
from common.audio.pcm import SAMPLE_RATE
from common.audio.silero import SileroModel
from common.contracts.segments import Segment, Word
from common.whisperlive.protocol import Handshake, Resume

HOUSEKEEPING_S = 5.0
"""Between looks at idle lanes."""
STALLED_TRACK_POLL_S = 0.03
"""Between looks at tracks that may have stopped sending while somebody speaks."""
HELD_UP_S = 0.2
"""A look that comes so much later than asked for says that the process stood still: what came meanwhile goes first."""
WAITING_POLL_S = 0.5
"""Between looks at those who wait for a lane."""
WAIT_REPORT_S = 2.0
"""Seconds that an utterance may wait for a lane before it is said."""

log = structlog.get_logger(__name__)


class TranscriptionListener(Protocol):
    """Who hears what comes of the audio."""

    def segment(self, segment: Segment) -> None:
        """A partial or a final."""

    def heard(self, report: AudioHeard) -> None:
        """What a track sounded like."""

    def decided(self, utterance: UtteranceDecided) -> None:
        """The transcriber has no open question about an utterance any more."""

    def hearing(self, report: ReportHealth) -> None:
        """Speech waits for a lane, or not any more; or some was lost."""

    def transcriber(self, up: bool, detail: str) -> None:
        """All lanes together have a transcriber that answers again, or not any more."""


class Transcription:
    """The speech of one meeting. Implements `bot.links.transcriber.link.LinkListener`.

    Args:
        config: Transcribers, languages, ids.
        token: What transcribers are told as token; never one that opens the room.
        whose: Looks up who speaks on a track; without a name where that is not known: a mix.
        name: Looks up the display name of a participant.
        listener: Called from the event loop.
        spawn: Starts a lane's task and owns it.
        holds_back: Whether audio is to wait in its replay buffer: there is no room for what would come of it.
        on_sent: Told for how many seconds each piece of speech has waited to be sent.
        on_settled: Told when changed settings were refused, and when later ones were taken.
    """

    def __init__(
        self,
        config: BotConfig,
        token: str | None,
        whose: Whose,
        name: Callable[[str], str],
        listener: TranscriptionListener,
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
        holds_back: Callable[[], bool] = lambda: False,
        on_sent: Callable[[float], None] = lambda seconds: None,
        on_settled: Callable[[SpeechSettled], None] = lambda event: None,
    ) -> None:
        self._config = config
        self._token = token
        self._whose, self._name = whose, name
        self._listener, self._on_settled = listener, on_settled
        self._spawn = spawn
        self._speech = LaneSpeech(config.speech())
        self._paused = False
        self._vad = SileroModel()
        self._floor: Floor | None = None
        self._plane: AudioPlane | None = None  # from the first admission on
        self._mixer: Mixer | None = None  # where all tracks are one
        self._tracker: SegmentTracker | None = None
        self._attribution: Attribution | None = None  # of a mix
        self._lanes: dict[int, tuple[Lane, asyncio.Task[None]]] = {}
        self._link = TranscriberLink(
            config.transcriber_urls,
            partial(self._handshake, 0),
            self,
            key=config.transcriber_api_key.get_secret_value() if config.transcriber_api_key else None,
            last_backoff=config.reconnection_interval_ms / 1000,
            longest=config.transcriber_max_connection_ms and config.transcriber_max_connection_ms / 1000,
            holds_back=holds_back,
            on_sent=on_sent,
            on_refused=self._refused,
            sources=config.transcriber_sources,
        )
        self._is_waiting = False  # as reported
        self._longest_wait = 0.0  # seconds, while it is
        self._served = asyncio.Event()  # a lane may have become free
        self._look_at, self._is_behind = math.inf, False  # when the next look at the tracks is to be; it came too late
        self._strays = 0  # texts about audio that is nobody's
        self._lost_s = 0.0  # in the gaps that were reported

    async def open(self) -> None:
        """Looks whether a transcriber takes audio. Raises EarshotError naming each that does not."""
        await self._link.open()
        self._spawn(self._link.run(), "transcriber-probe")

    def start(self, now: float, wall: float) -> None:
        """Meeting time zero: `now` on the monotonic clock, `wall` in Unix seconds.

        Zero may lie in the past: a bot that was restarted in a meeting continues its times, and so its ids.
        """
        audio = self._config.audio
        self._floor = Floor(now)
        self._mixer = Mixer(now, self._vad.stream, self._whose) if audio.mode == "mixed" else None
        whose = self._whose if self._mixer is None else lambda track_id: (MIX_TRACK, "")
        self._plane = AudioPlane(
            now, self._vad.stream, whose, Lanes(audio.lanes_max if audio.mode == "lanes" else None)
        )
        self._tracker = SegmentTracker(self._config.connection_id, wall)
        holders = self._floor if self._mixer is None else self._mixer.turns
        self._attribution = Attribution(holders, self._tracker, self._name)

    def lanes(self) -> tuple[int, int, float]:
        """Lanes open, utterances that wait for one, and seconds of speech that were lost."""
        return len(self._lanes), self._plane.waiting(0.0)[0] if self._plane else 0, self._lost_s

    # --- audio on its way out ---------------------------------------------------------------------------------------

    def frame(self, frame: AudioFrame) -> None:
        """Takes a piece of a track; before `start`, and while paused, nobody listens."""
        if self._plane is None or self._paused:
            return
        if self._mixer is None:
            self._take(self._plane, [frame])
        else:
            self._take(self._plane, self._mixer.frame(frame))

    def _take(self, plane: AudioPlane, frames: list[AudioFrame]) -> None:
        """Pieces of tracks, or of the mix; and what they sounded like."""
        for frame in frames:
            self._order(plane.frame(frame))
        for report in plane.reports() + (self._mixer.reports() if self._mixer else []):
            level = round(report.level_dbfs, 1)
            log.debug("track.heard", track=report.track_id, level_dbfs=level, speech=report.speech)
            self._listener.heard(report)

    def close_track(self, track_id: str, now: float) -> None:
        """No more audio on this track for now: ends what is being said."""
        if self._plane is None:
            return
        if self._mixer is None:
            self._order(self._plane.close(track_id, now))
        elif self._mixer.close(track_id):
            self._end_speech(self._plane, now)

    def tick(self, now: float) -> float:
        """Ends utterances of tracks that stopped sending, closes idle lanes; returns seconds until the next look."""
        if self._plane is None:
            return HOUSEKEEPING_S
        self._is_behind = not self._is_behind and now - self._look_at > HELD_UP_S  # once: it may be so for long
        self._look_at = now + (pause := self._look(self._plane, now))
        return pause

    def _look(self, plane: AudioPlane, now: float) -> float:
        if not self._is_behind:
            if self._mixer is not None:
                self._take(plane, self._mixer.idle(now))
            self._order(plane.idle(now))
        self._order(plane.close_idle(now))
        self._report(plane, now)
        self._publish_named(now)
        is_unnamed = self._attribution is not None and self._attribution.waits
        if plane.speaking or is_unnamed or (self._mixer is not None and self._mixer.holds):
            return STALLED_TRACK_POLL_S
        return WAITING_POLL_S if plane.waiting(now)[0] else HOUSEKEEPING_S

    def _report(self, plane: AudioPlane, now: float, *, at_the_end: bool = False) -> None:
        """Says who waits for a lane, and what was lost."""
        waiting, longest = plane.waiting(now)
        self._longest_wait = max(self._longest_wait, longest)
        if waiting and longest >= WAIT_REPORT_S and not self._is_waiting:
            self._is_waiting = True
            detail = f"{waiting} utterances wait for one of {len(self._lanes)} transcriber streams (audio.lanesMax)"
            self._listener.hearing(ReportHealth("lanes", False, detail))
        elif not waiting:
            if self._is_waiting:
                detail = f"nobody waits for a transcriber stream; somebody had for {self._longest_wait:.1f} s"
                self._listener.hearing(ReportHealth("lanes", True, detail))
            self._is_waiting, self._longest_wait = False, 0.0
        for gap in plane.gaps(now, at_the_end=at_the_end):
            begin, length = gap.start / SAMPLE_RATE, gap.samples / SAMPLE_RATE
            self._lost_s += length
            detail = f"{length:.1f} s of speech lost, from {begin:.1f} s of the meeting on: it waited over 60 s"
            self._listener.hearing(ReportHealth(f"gap:{gap.track_id}", False, detail))

    def reconfigure(self, speech: SpeechSettings) -> None:
        """Later utterances are transcribed like this, on new lanes; what is being said goes on where it began."""
        self._speech.change(speech)
        if self._plane is not None:
            self._order(self._plane.renew_lanes())
        log.info("bot.reconfigured", **dataclasses.asdict(speech))

    def pause(self, paused: bool, now: float) -> None:
        """Ends what is being said and takes no more audio, or takes it again."""
        self._paused = paused
        if paused and self._plane is not None:
            self._end_speech(self._plane, now)

    def _end_speech(self, plane: AudioPlane, now: float) -> None:
        """Whatever anybody says ends here."""
        if self._mixer is not None:
            self._take(plane, self._mixer.flush())
        self._order(plane.close_all(now))

    def follow_floor(self, participant_ids: frozenset[str], at: float) -> None:
        """These people hold the floor of mixed tracks from `at` (monotonic seconds) on."""
        if self._floor is not None:
            self._floor.report(participant_ids, at)

    async def finish(self, now: float, timeout: float) -> float:
        """Ends every utterance and waits, `timeout` seconds at most, for its text; returns undecided seconds."""
        if self._plane is None or self._tracker is None:
            return 0.0
        self._end_speech(self._plane, now)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(timeout, 0.0)):
                while self._plane.waiting(now)[0]:
                    self._served.clear()
                    await self._served.wait()
                await self._close_lanes()
        for _, task in self._lanes.values():  # what it would say now would come after the session's end
            task.cancel()
        utterances, samples = self._plane.undecided()
        self._order([Completed(utterance) for utterance in utterances])  # no final follows: partials are taken back
        self._publish_named(asyncio.get_running_loop().time(), at_the_end=True)
        self._report(self._plane, now, at_the_end=True)
        return samples / SAMPLE_RATE

    async def _close_lanes(self) -> None:
        for lane, _ in self._lanes.values():
            lane.close()
        if self._lanes:
            await asyncio.wait([task for _, task in self._lanes.values()])

    def _order(self, orders: list[PlaneOrder]) -> None:
        for order in orders:
            match order:
                case LaneAudio(lane, pcm):
                    self._lane(lane).append(pcm)
                case LaneEnd(lane):
                    self._lane(lane).end_utterance()
                case LaneDrop(lane, sample):
                    self._lane(lane).drop(sample)
                case LaneClose(lane):
                    self._lanes.pop(lane)[0].close()
                    self._speech.closed(lane)
                case Completed(utterance):
                    is_assumed = not self._link.has_answers
                    self._listener.decided(UtteranceDecided(utterance.speaker_id, utterance.length, is_assumed))
                    if self._tracker and (taken_back := self._tracker.decided(utterance)):
                        self._publish(taken_back)

    def _lane(self, number: int) -> Lane:
        if number not in self._lanes:
            self._speech.opened(number)
            lane = self._link.lane(number, partial(self._handshake, number))
            self._lanes[number] = lane, self._spawn(lane.run(), f"lane-{number}")
        return self._lanes[number][0]

    def _handshake(self, lane: int, sample: int) -> Handshake:
        config, speech = self._config, self._speech.of(lane)
        return Handshake(
            uid=str(uuid4()),
            language=speech.language,
            task=speech.task,
            same_output_threshold=2,
            word_timestamps=config.audio.words or config.audio.mode == "mixed",
            extensions=EXTENSIONS,
            allowed_languages=frozenset(speech.allowed_languages),
            resume=Resume(config.connection_id, sample) if sample else None,
            platform=config.platform,
            meeting_url=config.meeting_url or config.platform,
            token=self._token or config.connection_id,  # the older fork wants one
            meeting_id=config.native_meeting_id or config.meeting_id,
        )

    # --- text on its way back ---------------------------------------------------------------------------------------

    def written(self, text: PublishText, zero: float) -> Segment | None:
        """The final of what was not heard; None before the meeting began. `zero`: monotonic seconds of its start."""
        if self._tracker is None:
            return None
        start, end = (max(at - zero, 0.0) for at in (text.start, text.end))
        return self._tracker.written(text.source, text.speaker_id, text.speaker, text.text, start, end)

    def granted(self, lane: int, extensions: frozenset[str]) -> None:
        """A lane has a server, which grants these extensions."""
        if self._plane is not None:
            self._plane.granted(lane, extensions)
        if self._speech.taken(lane):
            self._on_settled(SpeechSettled(self._speech.current, True, "the transcriber takes what was asked for"))

    def _refused(self, lane: int, detail: str) -> None:
        """No server takes a lane's handshake: goes back to the settings that one took, if they were changed since."""
        if self._speech.refused(lane):
            told = f"{detail}; later speech is transcribed as before the last `reconfigure`"
            self._on_settled(SpeechSettled(self._speech.current, False, told))

    def text(self, lane: int, text: LaneText) -> None:
        """A lane has text: finds its speaker and time, and hands on what is new."""
        found = self._plane.find(lane, text.start, text.end) if self._plane else None
        if found is None or self._tracker is None:
            self._strays += 1
            log.warning("transcriber.stray_text", lane=lane, strays=self._strays)
            return
        wire, shift = text.wire, found.shift / SAMPLE_RATE
        words = [Word(w.word, w.start + shift, w.end + shift, w.probability) for w in text.words]
        segment = self._tracker.update(
            found.utterance,
            found.start,
            found.end,
            wire.text,
            wire.completed,
            wire.language,
            words,
            wire.stable_len,
            doubtful=wire.doubtful,
        )
        if segment is not None:
            self._publish(segment)

    def _publish(self, segment: Segment) -> None:
        """At once where it is known who spoke. Of a mix that takes a while: partials name nobody, finals wait."""
        if segment.completed and not segment.speaker and self._attribution is not None:
            self._attribution.add(segment)
        else:
            self._say(segment if segment.speaker else replace(segment, speaker=UNKNOWN_SPEAKER))

    def _say(self, segment: Segment) -> None:
        """Of words nobody hears who has not asked for them: those of a mix are for telling its speakers apart."""
        self._listener.segment(segment if self._config.audio.words else replace(segment, words=None))

    def _publish_named(self, now: float, *, at_the_end: bool = False) -> None:
        """Finals of a mix of which is known now who spoke."""
        for segment in self._attribution.take(now, at_the_end=at_the_end) if self._attribution else ():
            self._say(segment)

    def decided(self, lane: int, sample: int) -> None:
        """A lane has no open question before `sample`."""
        if self._plane is not None:
            self._order(self._plane.decided(lane, sample, asyncio.get_running_loop().time()))
            self._served.set()

    def transcriber(self, healthy: bool, detail: str) -> None:
        """The state of all lanes together has changed."""
        self._listener.transcriber(healthy, detail)
