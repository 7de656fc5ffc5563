"""The composition root: wires the two planes to the world for one meeting, and ends it in order.

    platform ──events──▶ MeetingCore ──effects──▶ here          one TaskGroup, one shutdown deadline
    platform ──frames──▶ AudioPlane ──orders──▶ lanes ──text──▶ SegmentTracker ──▶ RedisLink

Start: Redis and the transcriber answer, or nothing is joined. End: the platform has left, every utterance is decided,
`session_end` and the terminal status are stored; all of it within `SHUTDOWN` seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Coroutine
from typing import Any
from uuid import uuid4

import structlog

from bot.audio.frame import AudioFrame
from bot.audio.plane import AudioPlane, LaneAudio, LaneOrder
from bot.config import BotConfig
from bot.core import events as ev
from bot.core.leave import LeaveSettings
from bot.core.meeting import MeetingCore
from bot.core.segments import SAMPLE_RATE, SegmentTracker
from bot.health_endpoint import Health, health_port, serve_health
from bot.links.redis.link import RedisLink
from bot.links.transcriber.conversation import EXTENSIONS, LaneText
from bot.links.transcriber.lane import Lane, probe
from bot.platforms import load
from bot.platforms.base import Platform
from bot.platforms.orders import Orders
from common.audio.silero import SileroModel
from common.contracts.segments import (
    Segment,
    SessionIdentity,
    Word,
    iso_utc,
    live,
    session_end,
    session_start,
    transcription,
)
from common.contracts.status import MEANINGS, State, SubCode
from common.errors import EarshotError
from common.whisperlive.protocol import Handshake, Resume

SHUTDOWN = 4.5
"""Seconds for everything between the decision to end and the exit of the process."""
LEAVING = 2.0
"""Seconds of them that the platform has to leave."""
HOUSEKEEPING = 5.0
"""Seconds between looks at idle lanes."""
LISTENING = 0.03
"""Seconds between looks at tracks that may have stopped sending while somebody speaks."""

log = structlog.get_logger(__name__)


def run(config: BotConfig) -> int:
    """Attends one meeting; returns the exit code."""
    with asyncio.Runner() as runner:
        code = runner.run(_supervised(config))
    return MEANINGS[code].exit_code


async def _supervised(config: BotConfig) -> SubCode:
    """Runs the bot, with SIGINT and SIGTERM as orders to leave, and says why it ended."""
    bot = Bot(config, load(config.platform))
    loop = asyncio.get_running_loop()
    for number, code in ((signal.SIGINT, SubCode.INTERRUPTED), (signal.SIGTERM, SubCode.TERMINATED)):
        loop.add_signal_handler(number, bot.stop, code)
    try:
        ended = await bot.attend()
    except EarshotError as error:
        ended = ev.Finish(error.code, str(error))
    except Exception:
        log.exception("bot.bug")
        ended = ev.Finish(SubCode.INTERNAL_ERROR, "a bug in the bot, see the log")
    meaning = MEANINGS[ended.code]
    level = log.info if meaning.completed else log.error
    level("bot.ended", code=ended.code, exit_code=meaning.exit_code, detail=ended.detail, remedy=meaning.remedy)
    return ended.code


def leave_settings(config: BotConfig) -> LeaveSettings:
    """The leave rules that the configuration asks for, in seconds."""
    rules = config.automatic_leave
    lobby, cap = rules.waiting_room_timeout / 1000, config.max_duration_ms / 1000
    if not rules.enabled:
        return LeaveSettings(lobby, None, None, None, cap)
    total = None if rules.timeout is None else rules.timeout / 1000
    return LeaveSettings(lobby, rules.no_one_joined_timeout / 1000, rules.everyone_left_timeout / 1000, total, cap)


class Bot:
    """One bot in one meeting. Implements the platforms' `Listener` and the lanes' `LaneListener`."""

    def __init__(self, config: BotConfig, platform: Platform) -> None:
        self._config = config
        self._platform = platform
        self._core = MeetingCore(leave_settings(config))
        self._redis = RedisLink(
            config.redis_url.get_secret_value(),
            config.connection_id,
            config.meeting_id,
            about={"platform": config.platform, "container_name": config.container_name},
            on_command=lambda action, arguments: self._receive(ev.CommandReceived(action, arguments)),
            on_change=lambda up, detail: self._receive(ev.LinkChanged("redis", up, detail)),
        )
        token = config.token.get_secret_value() if config.token and not platform.token_opens_room else None
        self._identity = SessionIdentity(
            config.platform, config.meeting_id, config.native_meeting_id, config.connection_id, token
        )
        self._language, self._task = config.language, config.task
        self._vad = SileroModel()
        self._hearing: AudioPlane | None = None  # from the first admission on
        self._book: SegmentTracker | None = None
        self._lanes: dict[int, Lane] = {}
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._start_limit: asyncio.Timeout | None = None
        self._attend_limit: asyncio.Timeout | None = None
        self._orders = Orders()
        self._wake = asyncio.Event()
        self._finish: asyncio.Future[ev.Finish] = asyncio.get_running_loop().create_future()
        self._last_words: ev.ReportStatus | None = None
        self._deadline = 0.0
        self._stopped: SubCode | None = None
        self._links_up = {"redis": True, "transcriber": True}
        self._audio_at: float | None = None
        self._health_port = health_port(os.environ)

    async def attend(self) -> ev.Finish:
        """The whole life of the bot. Raises EarshotError when it could not start."""
        await self._reach_neighbours()
        try:
            async with asyncio.TaskGroup() as self._group:
                self._start(self._redis.run(), "redis")
                self._start(self._watch_time(), "timers")
                self._start(serve_health(self._health_port, self._health), "health")
                self._report(ev.ReportStatus(State.JOINING))
                self._start(self._attend_platform(), "platform")
                finish = await self._finish
                await self._wind_down()
                for task in self._tasks:
                    task.cancel()
        except* EarshotError as group:  # Redis says that another bot has taken over
            raise group.exceptions[0] from None
        finally:
            await self._redis.close()
        return finish

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        assert self._group is not None
        task = self._group.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self, code: SubCode) -> None:
        """SIGINT or SIGTERM: leave in order; before anything is joined, just end."""
        self._stopped = self._stopped or code
        if self._group is not None:
            self._receive(ev.StopRequested(code))
        elif self._start_limit is not None:
            self._start_limit.reschedule(0)

    # --- start --------------------------------------------------------------------------------------------------------

    async def _reach_neighbours(self) -> None:
        """Redis and a transcriber must answer before anything is joined; if both do not, both are named."""
        try:
            async with asyncio.timeout(None) as self._start_limit:
                calling = probe(self._config.transcriber_urls, self._handshake(0), self._transcriber_key)
                asked = self._redis.open(), calling
                outcomes = await asyncio.gather(*asked, return_exceptions=True)
        except TimeoutError:
            await self._redis.close()
            raise EarshotError(self._stopped or SubCode.INTERNAL_ERROR, "stopped before joining") from None
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if failures:
            await self._redis.close()
            errors = [failure for failure in failures if isinstance(failure, EarshotError)]
            if len(errors) < len(failures):
                raise next(failure for failure in failures if not isinstance(failure, EarshotError))
            raise EarshotError(errors[0].code, " · ".join(str(error) for error in errors))
        log.info("bot.ready_to_join", platform=self._config.platform, connection_id=self._config.connection_id)

    async def _attend_platform(self) -> None:
        try:
            async with asyncio.timeout(None) as self._attend_limit:
                code, detail = await self._platform.attend(self._config.invitation(), self, self._orders), ""
        except EarshotError as error:
            code, detail = error.code, str(error)
        except TimeoutError:
            code, detail = SubCode.LEFT_BY_COMMAND, f"the platform did not leave within {LEAVING:g} s"
            log.warning("platform.cut_off", seconds=LEAVING)
        except Exception:
            log.exception("platform.bug", platform=self._config.platform)
            code, detail = SubCode.INTERNAL_ERROR, "a bug in the platform adapter, see the log"
        self._receive(ev.PlatformEnded(code, detail))

    # --- the control plane --------------------------------------------------------------------------------------------

    def event(self, event: ev.PlatformEvent) -> None:
        """The platform reports what happened in the meeting."""
        self._receive(event)

    def _receive(self, event: ev.Event) -> None:
        if isinstance(event, ev.LinkChanged):
            self._links_up[event.link] = event.up
        self._core.receive(event, self._now())
        self._perform()

    def _perform(self) -> None:
        for effect in self._core.effects():
            match effect:
                case ev.ReportStatus(status) if self._core.lifecycle.over and status is self._core.lifecycle.state:
                    self._last_words = effect  # said when everything else is stored
                case ev.ReportStatus():
                    self._report(effect)
                case ev.ReportHealth():
                    self._say_health(effect)
                case ev.StartSession():
                    self._start_session()
                case ev.CloseTrack(track_id) if self._hearing is not None:
                    self._order(self._hearing.close(track_id, self._now()))
                case ev.Reconfigure(language, task):
                    self._reconfigure(language, task)
                case ev.LeaveMeeting():
                    self._orders.leave()
                    self._start_deadline()
                    if self._attend_limit is not None:
                        self._attend_limit.reschedule(self._now() + LEAVING)
                case ev.Finish():
                    self._start_deadline()
                    self._finish.set_result(effect)
        self._wake.set()

    async def _watch_time(self) -> None:
        """Gives the core its ticks and closes lanes that nobody needs."""
        while True:
            now = self._now()
            self._core.tick(now)
            self._perform()
            pause = HOUSEKEEPING
            if self._hearing is not None:
                self._order(self._hearing.idle(now))
                for number in self._hearing.idle_lanes(now):
                    self._lanes.pop(number).close()
                pause = LISTENING if self._hearing.speaking else HOUSEKEEPING
            timer = self._core.next_timer()
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(now + pause if timer is None else min(now + pause, timer)):
                    await self._wake.wait()

    def _start_session(self) -> None:
        at = time.time()
        self._hearing = AudioPlane(self._now(), self._vad.stream, self._whose)
        self._book = SegmentTracker(self._config.connection_id, at)
        self._publish(session_start(self._identity, at))

    def _reconfigure(self, language: str | None, task: str | None) -> None:
        self._language, self._task = language or self._language, task or self._task  # type: ignore[assignment]
        if self._hearing is not None:
            self._hearing.renew_lanes()
        log.info("bot.reconfigured", language=self._language, task=self._task)

    # --- the audio plane ----------------------------------------------------------------------------------------------

    def audio(self, frame: AudioFrame) -> None:
        """The platform hands over a piece of a track."""
        self._audio_at = self._now()
        if self._hearing is None or self._finish.done():
            return
        self._order(self._hearing.frame(frame.track_id, frame.pcm, frame.position, frame.source, frame.arrival))
        for report in self._hearing.reports():
            log.debug(
                "track.heard", track=report.track_id, level_dbfs=round(report.level_dbfs, 1), speech=report.speech
            )
            self._receive(report)

    def _whose(self, track_id: str) -> tuple[str, str] | None:
        owner = self._core.roster.owner(track_id)
        if owner is None or not self._core.roster.is_person(owner):
            return None
        return owner, self._core.roster.name(owner)

    def _order(self, orders: list[LaneOrder]) -> None:
        for order in orders:
            if isinstance(order, LaneAudio):
                self._lane(order.lane).append(order.pcm)
            else:
                self._lane(order.lane).end_utterance()

    def _lane(self, number: int) -> Lane:
        lane = self._lanes.get(number)
        if lane is None:
            backoff = self._config.reconnection_interval_ms / 1000
            lane = Lane(number, self._config.transcriber_urls, self._handshake, self, backoff, self._transcriber_key)
            self._lanes[number] = lane
            self._start(lane.run(), f"lane-{number}")
        return lane

    @property
    def _transcriber_key(self) -> str | None:
        key = self._config.transcriber_api_key
        return key.get_secret_value() if key else None

    def _handshake(self, sample: int) -> Handshake:
        config = self._config
        token = None if self._platform.token_opens_room else config.token
        return Handshake(
            uid=str(uuid4()),
            language=self._language,
            task=self._task,
            same_output_threshold=2,
            extensions=EXTENSIONS,
            allowed_languages=frozenset(config.allowed_languages),
            resume=Resume(config.connection_id, sample) if sample else None,
            platform=config.platform,
            meeting_url=config.meeting_url or config.platform,
            token=token.get_secret_value() if token else config.connection_id,  # the older fork wants one
            meeting_id=config.native_meeting_id or config.meeting_id,
        )

    # --- text on its way back -----------------------------------------------------------------------------------------

    def text(self, lane: int, text: LaneText) -> None:
        """A lane has text: find its speaker and time, and publish what is new."""
        found = self._hearing.find(lane, text.start, text.end) if self._hearing else None
        if found is None or self._book is None:
            return
        wire = text.wire
        offset = found.start / SAMPLE_RATE - wire.start
        words = [Word(w.word, w.start + offset, w.end + offset, w.probability) for w in wire.words or ()]
        segment = self._book.update(
            found.utterance, found.start, found.end, wire.text, wire.completed, wire.language, words
        )
        if segment is not None:
            self._publish_segment(segment)

    def decided(self, lane: int, sample: int) -> None:
        """A lane has no open question before `sample`."""
        if self._hearing is None or self._book is None:
            return
        for utterance in self._hearing.decided(lane, sample):
            taken_back = self._book.decided(utterance)
            if taken_back is not None:
                self._publish_segment(taken_back)

    def link(self, up: bool, detail: str) -> None:
        """A lane's connection was made or lost."""
        if up != self._links_up["transcriber"]:
            self._receive(ev.LinkChanged("transcriber", up, detail))

    def _publish_segment(self, segment: Segment) -> None:
        message = live(self._config.meeting_id, segment)
        self._redis.publish_live(segment.segment_id, message, segment.completed)
        if segment.completed:
            self._publish(transcription(self._identity, [segment]))

    def _publish(self, payload: str) -> None:
        if self._config.publish == "bot":
            self._redis.publish_final(payload)

    # --- end ----------------------------------------------------------------------------------------------------------

    def _start_deadline(self) -> None:
        self._deadline = self._deadline or self._now() + SHUTDOWN

    async def _wind_down(self) -> None:
        """Ends utterances, waits for their text, then says the last words; never longer than the deadline."""
        if self._hearing is not None:
            self._order(self._hearing.close_all(self._now()))
        lanes = list(self._lanes.values())
        for lane in lanes:
            lane.close()
        try:
            async with asyncio.timeout_at(self._deadline - 1.0):
                for lane in lanes:
                    await lane.settled()
        except TimeoutError:
            undecided = sum(lane.undecided for lane in lanes)
            log.warning("bot.audio_undecided", seconds=round(undecided / SAMPLE_RATE, 1))
        if self._hearing is not None:
            self._publish(session_end(self._identity, time.time()))
        if self._last_words is not None:
            self._report(self._last_words)
        left = await self._redis.flush(max(self._deadline - self._now() - 0.3, 0.1))
        if left:
            log.error("bot.not_stored", entries=left)

    def _report(self, report: ev.ReportStatus) -> None:
        """A lifecycle change, in the log and on the status stream."""
        event: dict[str, object] = {
            "event": "status",
            "connection_id": self._config.connection_id,
            "meeting_id": self._config.meeting_id,
            "container_name": self._config.container_name,
            "status": report.status,
            "timestamp": iso_utc(time.time()),
        }
        if report.code is not None:
            event |= {
                "code": report.code,
                "exit_code": MEANINGS[report.code].exit_code,
                "stage": report.stage,
                "detail": report.detail,
            }
        log.info("bot.status", status=report.status, code=report.code)
        self._redis.status(event)

    def _say_health(self, health: ev.ReportHealth) -> None:
        level = log.info if health.healthy else log.warning
        level("bot.health", subject=health.subject, healthy=health.healthy, detail=health.detail)
        self._redis.status(
            {
                "event": "health",
                "connection_id": self._config.connection_id,
                "subject": health.subject,
                "healthy": health.healthy,
                "detail": health.detail,
                "timestamp": iso_utc(time.time()),
            }
        )

    def _health(self) -> Health:
        lifecycle = self._core.lifecycle
        age = None if self._audio_at is None else self._now() - self._audio_at
        return Health(lifecycle.state, lifecycle.over, self._links_up, age)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
