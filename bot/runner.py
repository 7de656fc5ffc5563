"""The runner of one meeting: tasks, one deadline, events to effects, and the one way in which every bot ends.

    platform ──events──▶ MeetingCore ──effects──▶ here ──▶ Reporting ──▶ sinks
    platform ──frames──▶ Transcription ──segments──────────▶ Reporting

Start: Redis and a transcriber answer, or nothing is joined. End, whatever the reason (an order, a rule, a signal, a
crash of any task): the platform has left, every utterance is decided, `session_end` and the terminal status are stored,
connections are closed; all of it within `SHUTDOWN_S`, and what could not be stored is said.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from typing import Any

import structlog

from bot.audio.frame import AudioFrame
from bot.audio.level import LevelMeter
from bot.config import BotConfig
from bot.core import effects as fx
from bot.core import events as ev
from bot.core.endings import with_late, with_missing
from bot.core.meeting import MeetingCore
from bot.core.roster import Roster
from bot.platform_task import PlatformTask
from bot.platforms.base import Platform
from bot.recording import Recording
from bot.redis_link import redis_link
from bot.sinks import Sinks
from bot.tasks import Tasks
from bot.transcription import Transcription
from bot.vitals import Vitals
from common.contracts.segments import Segment
from common.contracts.status import MEANINGS, State, SubCode
from common.errors import EarshotError

SHUTDOWN_S = 4.2
"""For everything between the decision to end and the end. Leaving comes first (`bot.platform_task`); the last
reserves, in seconds before the end, are for ..."""
SETTLE_RESERVE_S = 1.3
"""... storing what the last utterances said;"""
STORE_RESERVE_S = 0.8
"""... the terminal status;"""
CLOSE_RESERVE_S = 0.4
"""... closing connections."""

log = structlog.get_logger(__name__)


class Bot:
    """One bot in one meeting. Implements the platforms' `Listener` and the `TranscriptionListener`."""

    def __init__(self, config: BotConfig, platform: Platform) -> None:
        self._config = config
        rules = config.automatic_leave
        leave = rules.rules(
            config.max_duration_ms, config.transcriber_mute_timeout_ms, detects_speech=config.transcribe_enabled
        )
        self._tasks = Tasks(self.fail)
        self._core = MeetingCore(leave, Roster(rules.bot_names), config.speech(), platform.carries_out)
        self._loop = asyncio.get_running_loop()
        self._vitals = Vitals(self._core, lambda: self._redis.backlog, self.hearing)
        self._redis = redis_link(config, self._receive, self.hearing, self._vitals.metrics.observer("published"))
        token = config.token.get_secret_value() if config.token and not platform.token_opens_room else None
        self._sinks = Sinks(
            config, token, self._redis, lambda up, detail: self._receive(ev.LinkChanged("callback", up, detail))
        )
        self._reporting = self._sinks.reporting
        self._transcription = Transcription(
            config, token, self._core.roster.speaks_for, self._core.roster.name, self, self._tasks.start,
            holds_back=lambda: self._redis.is_full, on_sent=self._vitals.metrics.observer("sent"),
            on_settled=self._receive,
        )  # fmt: skip
        self._vitals.metrics.follow(self._transcription.lanes)
        self._recording = (
            Recording(config, self._core.roster.speaks_for, self.hearing) if config.recording is not None else None
        )
        self._meter = None if config.transcribe_enabled else LevelMeter()
        self._platform = PlatformTask(config, platform, self, self._tell)
        self._storing: asyncio.Task[None] | None = None
        self._has_session = False
        self._zero = 0.0
        self._wake = asyncio.Event()
        self._finish: asyncio.Future[fx.Finish] = self._loop.create_future()
        self._terminal: fx.ReportStatus | None = None
        self._deadline: float | None = None
        self._late: fx.Finish | None = None  # what failed while the end was under way

    async def attend(self) -> fx.Finish:
        """The whole life of the bot; returns why it ended, whatever happened. Cancelled, it frees what it opened."""
        try:
            for name, work in self._vitals.work().items():
                self._tasks.start(work, name)
            self._tasks.start(self._open(), "start")
            return await self._end(await self._finish)
        except BaseException:
            self._tasks.are_ending = True
            self._start_deadline()
            await self._close()
            raise

    def stop(self, code: SubCode) -> None:
        """SIGINT or SIGTERM: leave in order."""
        self._tell(ev.StopRequested(code))

    def fail(self, code: SubCode, detail: str) -> None:
        """Ends the meeting in order, even with an unusable state machine; an end under way becomes a failed one."""
        if self._finish.done():
            if self._late is None or code is SubCode.DUPLICATE_BOT:
                self._late = fx.Finish(code, detail)
            return
        try:
            self._receive(ev.BotFailed(code, detail))
        except Exception:
            log.exception("bot.bug", task="state machine")
        if not self._finish.done():  # the state machine had nothing to say any more
            self._start_deadline()
            self._finish.set_result(fx.Finish(code, detail))

    def _tell(self, event: ev.Event) -> None:
        """As `_receive`, from a callback of the loop, where an exception would vanish in its log."""
        try:
            self._receive(event)
        except Exception:
            log.exception("bot.bug", task="callback")
            self.fail(SubCode.INTERNAL_ERROR, "a bug in the bot, see the log")

    # --- start ------------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        """Redis, a transcriber and the manager must answer before anything is joined; all that do not are named."""
        asked = [self._reach("redis", self._open_redis()), self._sinks.open()]
        if self._meter is None:
            asked.append(self._reach("transcriber", self._transcription.open()))
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        for failure in failures:
            if not isinstance(failure, EarshotError):
                raise failure
        errors = [failure for failure in failures if isinstance(failure, EarshotError)]
        if errors:
            raise EarshotError(errors[0].code, " · ".join(str(error) for error in errors))
        if self._finish.done():  # told to leave meanwhile
            return
        log.info("bot.ready_to_join", platform=self._config.platform, connection_id=self._config.connection_id)
        for sink in self._sinks.served:
            self._tasks.start(self._sinks.serve(sink), type(sink).__name__)
        self._vitals.ready = True
        self._tasks.start(self._watch_time(), "timers")
        if self._recording is not None:
            self._tasks.start(self._recording.run(), "recording")
        self._core.begin(self._now())
        self._perform()
        self._platform.begin()

    async def _reach(self, link: str, opening: Coroutine[Any, Any, None]) -> None:
        self._vitals.links_up[link] = False
        await opening
        self._vitals.links_up[link] = True

    async def _open_redis(self) -> None:
        await self._redis.open()
        self._storing = self._tasks.start(self._redis.run(), "redis")

    # --- the control plane ------------------------------------------------------------------------------------------

    def event(self, event: ev.PlatformEvent) -> None:
        """The platform reports what happened in the meeting."""
        self._receive(event)

    def _receive(self, event: ev.Event) -> None:
        if isinstance(event, ev.LinkChanged):
            self._vitals.links_up[event.link] = event.up
        self._core.receive(event, self._now())
        self._perform()

    def _perform(self) -> None:
        for effect in self._core.effects():
            try:
                self._do(effect)
            except ev.Unhandled as bug:
                log.error("bot.oddity", what=str(bug))
        self._wake.set()

    def _do(self, effect: fx.Effect) -> None:
        match effect:
            case fx.ReportStatus(code=code) if code is not None:
                self._terminal = effect  # said when everything else is stored
            case fx.ReportStatus():
                self._reporting.status(effect)
            case fx.ReportHealth():
                self._reporting.health(effect)
            case fx.StartSession():
                self._start_session()
            case fx.PublishText():
                self._publish(effect)
            case fx.CloseTrack(track_id):
                self._transcription.close_track(track_id, self._now())
            case fx.Reconfigure(speech):
                self._transcription.reconfigure(speech)
            case fx.PauseHearing(paused):
                self._transcription.pause(paused, self._now())
                if self._recording is not None:
                    self._recording.pause(paused)
            case fx.AnswerCommand():
                self._reporting.command(effect)
            case fx.GiveOrder(order, answer):
                given = self._platform.give(order)
                if answer is not None:
                    full = "too many orders wait for the platform"
                    self._reporting.command(answer if given else replace(answer, accepted=False, detail=full))
            case fx.FollowFloor(participant_ids, at):
                self._transcription.follow_floor(participant_ids, at)
            case fx.LogOddity(what):
                log.error("bot.oddity", what=what)
            case fx.LeaveMeeting():
                self._leave()
            case fx.Finish():
                self._start_deadline()
                if not self._finish.done():
                    self._finish.set_result(effect)
            case _:
                ev.unhandled(effect)

    def _start_session(self) -> None:
        """Meeting time zero is now, or when it was for the bot in whose place we were started again."""
        now, wall = self._now(), time.time()
        kept = self._redis.zero
        zero = wall if kept is None else min(kept, wall)  # later than now: the clock was set back
        self._zero = now - (wall - zero)
        self._redis.keep_zero(zero)
        self._transcription.start(self._zero, zero)
        if self._recording is not None:
            self._recording.start(self._zero, zero)
        self._reporting.session_start(zero)
        self._has_session = True

    def _publish(self, text: fx.PublishText) -> None:
        """What was written, where anything is to be transcribed; the last room of the outbox is for what was said."""
        segment = self._transcription.written(text, self._zero) if self._meter is None else None
        if segment is None:
            return
        if self._redis.is_full:
            self._reporting.lost += 1
            return
        self._vitals.segment(segment, self._zero)
        self._reporting.segment(segment)

    async def _watch_time(self) -> None:
        """Gives the core its ticks and the transcription its housekeeping."""
        while True:
            now = self._now()
            self._core.tick(now)
            self._perform()
            pause = now + self._transcription.tick(now)
            timer = self._core.next_timer()
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(pause if timer is None else min(pause, timer)):
                    await self._wake.wait()

    # --- what comes of the audio ------------------------------------------------------------------------------------

    def audio(self, frame: AudioFrame) -> None:
        """The platform hands over a piece of a track."""
        self._vitals.audio(frame)
        if self._tasks.are_ending:
            return
        if self._recording is not None:
            self._recording.frame(frame)
        if self._meter is None:
            self._transcription.frame(frame)
        elif report := self._meter.frame(frame):
            self.heard(report)

    def heard(self, report: ev.AudioHeard) -> None:
        """A track has sounded like this."""
        self._receive(report)

    def segment(self, segment: Segment) -> None:
        """A partial or a final goes out."""
        self._vitals.segment(segment, self._zero)
        self._reporting.segment(segment)
        if self._recording is not None:
            self._recording.segment(segment)
        if segment.text:  # none: a partial is taken back
            self._receive(ev.TextHeard(segment.speaker_id, segment.completed))

    def decided(self, utterance: ev.UtteranceDecided) -> None:
        """An utterance is settled."""
        self._receive(utterance)

    def hearing(self, report: fx.ReportHealth) -> None:
        """Speech waits for a lane, or was lost, or Redis has lost text."""
        self._reporting.health(report)

    def transcriber(self, up: bool, detail: str) -> None:
        """The links to transcribers changed: all of them answer again, or what is wrong with the worst."""
        self._receive(ev.LinkChanged("transcriber", up, detail))

    # --- end: one way, whatever happened ----------------------------------------------------------------------------

    def _start_deadline(self) -> None:
        self._deadline = self._deadline or self._now() + SHUTDOWN_S

    def _left(self, reserve: float = 0.0) -> float:
        """Seconds until the deadline, but for a reserve."""
        return max((self._deadline or self._now()) - reserve - self._now(), 0.0)

    def _leave(self) -> None:
        """Orders the platform to leave. Before anything is joined, that is the end."""
        self._start_deadline()
        self._platform.leave(self._left())

    async def _end(self, finish: fx.Finish) -> fx.Finish:
        """Leaves, settles, stores, says why, closes. Each step may fail; the next ones are taken all the same."""
        self._tasks.are_ending = True
        self._tasks.cancel("start")
        if self._platform.goes_on:
            self._leave()
            await self._platform.over()
        with self._step("settle"):
            left = self._left(SETTLE_RESERVE_S + self._sinks.reserve)
            if self._recording is not None:
                self._recording.end()
            undecided = await self._transcription.finish(self._now(), left)
            if undecided:
                log.warning("bot.audio_undecided", seconds=round(undecided, 1))
        finish = with_late(finish, self._late)
        if self._storing is None:
            self._sinks.without_redis()
        if finish.code is not SubCode.DUPLICATE_BOT:  # whose name is that of a bot which lives
            finish, _ = await asyncio.gather(self._say_the_end(finish), self._finish_recording())
        with self._step("close"):
            await self._close()
        return with_late(finish, self._late)

    async def _finish_recording(self) -> None:
        with self._step("recording"):
            if self._recording is not None:
                await self._recording.finish(self._left(CLOSE_RESERVE_S))

    async def _say_the_end(self, finish: fx.Finish) -> fx.Finish:
        """Stores what is left, `session_end` and the terminal status; an end that could not says so."""
        left = missing = 0
        with self._step("store"):
            if self._has_session:
                self._reporting.session_end()
            left = await self._flush(STORE_RESERVE_S + self._sinks.reserve)
        finish = self._admit(with_late(finish, self._late), left)
        if finish.code is SubCode.DUPLICATE_BOT:  # the lock was lost meanwhile
            return finish
        with self._step("say"):
            last = self._terminal or fx.ReportStatus(State.FAILED)
            state = State.COMPLETED if MEANINGS[finish.code].completed else State.FAILED
            self._reporting.status(replace(last, status=state, code=finish.code, detail=finish.detail), left)
            missing = await self._flush(CLOSE_RESERVE_S)
        return self._admit(finish, missing)

    async def _flush(self, reserve: float) -> int:
        """Stores what waits, up to a reserve; returns how many entries are left."""
        if self._storing is not None and self._storing.done():  # it has crashed: what it had is still there
            self._storing = self._tasks.start(self._redis.run(), "redis")
        return await self._reporting.flush(self._left(reserve))

    @staticmethod
    def _admit(finish: fx.Finish, left: int) -> fx.Finish:
        """The end as it is when so many entries are not stored."""
        told = with_missing(finish, left)
        if told is not finish:
            log.error("bot.not_stored", entries=left)
        return told

    async def _close(self) -> None:
        await self._tasks.close(self._platform.task, within=self._left(CLOSE_RESERVE_S / 2))
        if self._recording is not None:
            await self._recording.close()
        await self._sinks.close(self._left(CLOSE_RESERVE_S / 2))
        await self._redis.close(self._left())

    @contextlib.contextmanager
    def _step(self, name: str) -> Iterator[None]:
        """One step of the end: what goes wrong in it is logged and does not keep the next from being taken."""
        try:
            yield
        except (Exception, SystemExit, KeyboardInterrupt):
            log.exception("bot.bug", step=name)
            self.fail(SubCode.INTERNAL_ERROR, f"a bug in the bot (at the end: {name}), see the log")

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
