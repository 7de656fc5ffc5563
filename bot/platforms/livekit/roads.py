"""Roads of a LiveKit room: its participants' tracks, and the egress that pushes their mix to us over RTMP.

What is decided is in `bot.core.router`, what passes in `bot.audio.handover`; here it is brought about: a place among
all bots' egresses is taken, an egress ordered, looked after and stopped, its stream played and laid over the tracks.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from bot.audio.alignment import Alignment
from bot.audio.handover import Handover
from bot.audio.pauses import Pauses
from bot.core.events import ActiveSpeakers, TrackClosed, TrackMuted, TrackOpened, TrackUnmuted
from bot.core.router import Mode, Road, Router, Stage
from bot.drivers.rtmp import Reason, StreamError, pull
from bot.platforms.livekit.egress import EgressApi, EgressError
from bot.platforms.livekit.room_stream import RoomStream
from bot.platforms.livekit.webhooks import EgressEvent, Webhooks, receiving
from common.audio.pcm import SAMPLE_RATE
from common.cancellation import checkpoint

if TYPE_CHECKING:
    from bot.audio.frame import AudioFrame
    from bot.platforms.base import Budget, Invitation, Listener
    from bot.platforms.livekit.settings import EgressSettings, LiveKitSettings

TRACK_ID = "composite"
"""Of the mix, and `speaker_id` of what nobody in particular said."""
TICK_S = 0.1
"""Between looks at what is to be done: so long a pause in speech must at least be."""
BUDGET_INTERVAL_S = 3.0
SPEAKERS_INTERVAL_S = 0.5
"""Between reports of who speaks; the server tells changes only."""
ALIGN_INTERVAL_S = 1.0
LOOK_INTERVAL_S = 3.0
"""Between looks at what the server says of the egress: that it has sound we hear ourselves."""
PULL_PAUSE_S = 0.2
"""Between tries to play a stream that is not published yet."""
START_TIMEOUT_S, STOP_TIMEOUT_S = 0.4, 0.8
"""For an egress that is just being started to be there, and for one to be stopped, where we leave: within our 2 s."""
LISTENED_S = 5.0
"""For which somebody's tracks go on sending when the mix is in charge and they have spoken: until it has said that."""
DRAIN_S = 2.0
"""Beyond the mix's own delay: for what was said before the tracks took charge."""

log = structlog.get_logger(__name__)


class Roads:
    """Both of one room. Its methods are called from the event loop, `run` in a task of its own.

    Args:
        invitation: With `livekit.egress`, key and secret.
        room: Its name.
        listener: Hears what passes.
        look: Brings the reported tracks up to which road is in charge.
        budget: Our place among all bots' egresses.
        wall: Seconds since 1970.
    """

    def __init__(
        self,
        invitation: Invitation,
        room: str,
        listener: Listener,
        look: Callable[[], object],
        budget: Budget,
        wall: Callable[[], float],
    ) -> None:
        settings: LiveKitSettings = invitation.settings
        assert settings.egress is not None
        self._egress: EgressSettings = settings.egress
        self._stream = RoomStream(settings.egress, invitation.connection_id, wall)
        self._url, self._session = invitation.meeting_url or "", invitation.connection_id
        self._key = settings.api_key or ""
        self._secret = settings.api_secret.get_secret_value() if settings.api_secret else ""
        self._room, self._listener, self._look, self._budget = room, listener, look, budget
        self.router = Router(Mode(settings.mode))
        self._handover = Handover()
        self._now = asyncio.get_running_loop().time
        self._speakers: frozenset[str] = frozenset()
        self._listened: dict[str, float] = {}  # who speaks, or did lately: when they were last said to
        self._told = asyncio.Event()  # by a webhook
        self._wanted, self._gone = asyncio.Event(), asyncio.Event()  # an egress is to be there, or none any more
        self._stage = Stage.JOINED  # as logged
        self._is_ending = False
        self._muted_at: float | None = None  # everybody; None: somebody is not
        self._is_mix_muted = False  # as told
        self._forget_mix()

    def _forget_mix(self) -> None:
        self._alignment, self._pauses = Alignment(self._now()), Pauses()
        self._latency: float | None = None
        self._mix_end = -math.inf  # until when the mix was heard, on the room's time
        self._drain_until: float | None = None

    # --- what the attendance asks and tells

    def hears(self, identity: str) -> bool:
        """Whether somebody's tracks are to send: of who speaks always, as an egress that drops out has not said all."""
        return self.router.hears_tracks or identity in self._listened

    @property
    def shows_tracks(self) -> bool:
        """Whether tracks are what the room is heard on."""
        return self._handover.road is Road.PARTICIPANT

    @property
    def failure(self) -> str | None:
        """Why the bot is to end."""
        return self.router.failure

    def people(self, count: int, *, encrypted: bool, muted: bool) -> None:
        """So many people are there; whether something of theirs is end-to-end encrypted, and everybody is muted."""
        if muted is not (self._muted_at is not None):
            self._muted_at = self._now() if muted else None
        self.router.obstacle(
            "the room is end-to-end encrypted, and LiveKit's egress has not its key" if encrypted else "", self._now()
        )
        self.router.people(count, self._now())

    def speakers(self, identities: Iterable[str]) -> None:
        """These people speak from now on, as the server sees it."""
        self._speakers = frozenset(identities)
        self._follow_speakers()

    def track(self, frame: AudioFrame) -> None:
        """A piece of a participant's track."""
        if self.router.stage in (Stage.OVERLAP, Stage.RETURNING):
            self._pauses.frame(frame)
            if self._latency is None:
                self._alignment.track(frame)
        if self._handover.take(Road.PARTICIPANT, frame):
            self._listener.audio(frame)

    # --- its task

    async def run(self, leaving: asyncio.Event) -> None:
        """Keeps both as they should be, until we leave or it is cancelled; then nothing of an egress is left."""
        async with AsyncExitStack() as stack:
            api = EgressApi(self._url, self._key, self._secret)
            stack.push_async_callback(api.close)
            stack.push_async_callback(self._budget.give_back)
            await self._listen(stack)
            tasks = [asyncio.create_task(self._keep_budget()), asyncio.create_task(self._keep_egress(api))]
            stack.push_async_callback(_end, tasks)
            spoken_at = aligned_at = -math.inf
            stack.callback(self._hurry)
            while not leaving.is_set():
                for task in tasks:
                    if task.done():
                        task.result()
                self._steer()
                now = self._now()
                if now >= spoken_at + SPEAKERS_INTERVAL_S:
                    spoken_at = now
                    self._follow_speakers()
                if now >= aligned_at + ALIGN_INTERVAL_S:
                    aligned_at = now
                    self._align(now)
                with suppress(TimeoutError):
                    async with asyncio.timeout(TICK_S):
                        await leaving.wait()

    def _hurry(self) -> None:
        self._is_ending = True

    def _steer(self) -> None:
        """One look: is there a pause, has time passed, does the other road take charge?"""
        now = self._now()
        pause = self._pauses.middle(now)
        if pause is not None:
            self.router.pause(now)
        self.router.tick(now)
        if self.router.stage is not self._stage:
            before, self._stage = self._stage, self.router.stage
            log.info("livekit_road", stage=self._stage, before=before, why=self.router.detail)
            if self._stage is Stage.STARTING:
                self._forget_mix()
            elif self._stage is Stage.RETURNING:
                self._pauses = Pauses()
            self._look()  # tracks send, or not any more
        elif self.failure is not None:
            self._look()
        if self.router.road is not self._handover.road:
            self._change(now, now if pause is None else pause)
        self._tell_muted(now)
        for event, holds in ((self._wanted, self.router.wants_egress), (self._gone, not self._is_wanted)):
            event.set() if holds else event.clear()

    def _change(self, now: float, at: float) -> None:
        """The other road takes charge of what is said from `at` on; of an egress that dropped out, from its end on."""
        road = self.router.road
        is_drop = road is Road.PARTICIPANT and self.router.was_dropped
        held = self._handover.change(road, self._mix_end if is_drop else at)
        if road is Road.COMPOSITE:
            self._look()
            self._is_mix_muted = False
            self._listener.event(TrackOpened(TRACK_ID, None))
        else:
            self._drain_until = None if is_drop else now + (self._latency or 0.0) + DRAIN_S
            if is_drop:
                self._listener.event(TrackClosed(TRACK_ID))
            self._look()
        for frame in held:
            self._listener.audio(frame)

    def _tell_muted(self, now: float) -> None:
        """A mix in which nobody can say anything is digital silence, as a broken one is. So it counts as muted, when
        it has said what was said before."""
        since = self._muted_at
        is_silent = since is not None and now - since >= (self._latency or 0.0) + DRAIN_S
        if not self.shows_tracks and is_silent is not self._is_mix_muted:
            self._is_mix_muted = is_silent
            self._listener.event(TrackMuted(TRACK_ID) if is_silent else TrackUnmuted(TRACK_ID))

    def _follow_speakers(self) -> None:
        """Says who speaks; their tracks are to send, and those of the others not any more."""
        before, now = self._listened.keys(), self._now()
        recent = {who: at for who, at in self._listened.items() if now - at < LISTENED_S}
        self._listened = recent | dict.fromkeys(self._speakers, now)
        if self._listened.keys() != before:
            self._look()
        if self.router.stage in (Stage.OVERLAP, Stage.COMPOSITE, Stage.RETURNING):
            self._listener.event(ActiveSpeakers(self._speakers, now))

    def _align(self, now: float) -> None:
        if self.router.stage is Stage.OVERLAP and self._latency is None:
            self._latency = self._alignment.delay()
            if self._latency is not None:
                log.info("livekit_mix_aligned", delay_s=round(self._latency, 2))
                self.router.aligned(now)

    # --- the budget

    async def _keep_budget(self) -> None:
        while True:
            checkpoint()
            if self.router.wants_budget:
                held = await self._budget.ask()
                if self.router.wants_budget:
                    self.router.budget(held, self._now())
            await asyncio.sleep(BUDGET_INTERVAL_S if self.router.wants_budget else TICK_S)

    # --- the egress

    @property
    def _is_wanted(self) -> bool:
        """Also while the mix still has to say what was said before the tracks took charge."""
        if self.router.wants_egress:
            return True
        is_drained = self._drain_until is None or self._now() >= self._drain_until
        return not is_drained and self._handover.road is Road.PARTICIPANT and not self.router.was_dropped

    async def _keep_egress(self, api: EgressApi) -> None:
        """Has an egress as long as one is wanted, and gives the place back when it is gone."""
        with suppress(EgressError):
            await self._clear_away(api)  # what we left behind, if we were started again
        while True:
            checkpoint()
            await self._wanted.wait()
            try:
                await self._attend_egress(api)
            except EgressError as error:
                log.warning("livekit_egress_failed", error=str(error))
                self.router.failed(str(error), self._now())
            self._wanted.clear()  # until the next look, should another one be
            if self._drain_until is not None:
                self._drain_until = None
                self._listener.event(TrackClosed(TRACK_ID))
            if not self.router.wants_budget:
                await self._budget.give_back()

    async def _attend_egress(self, api: EgressApi) -> None:
        """One egress, from its order to its end. Raises EgressError."""
        await self._clear_away(api)
        hooks = [self._egress.webhook_url] if self._egress.webhook_url else []
        starting = asyncio.create_task(
            api.start_room_composite(self._room, self._stream.to_publish, self._session, hooks)
        )
        try:
            egress = await asyncio.shield(starting)
        except EgressError as error:
            if not error.code:  # it may have been started just when we gave up
                await self._clear_away(api)
            raise
        except asyncio.CancelledError:  # the server starts it whether we wait for its answer or not
            await asyncio.wait([starting], timeout=START_TIMEOUT_S)
            if starting.done() and starting.exception() is None:
                await self._stop(api, starting.result().egress_id)
            raise
        finally:
            starting.cancel()
        self._budget.used_for = egress.egress_id
        log.info("livekit_egress_started", egress=egress.egress_id)
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(self._watch(api, egress.egress_id)),
            asyncio.create_task(self._play()),
            asyncio.create_task(self._gone.wait()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except EgressError as error:
            self.router.failed(str(error), self._now())  # at once: what follows takes its time
            raise
        finally:
            try:
                await _end(tasks)
            finally:
                await self._stop(api, egress.egress_id)

    async def _stop(self, api: EgressApi, egress_id: str) -> None:
        """Ends one; in a hurry where we leave, or are cancelled meanwhile. One that cannot be ended is left to whoever
        gets our place."""
        self._budget.used_for = egress_id
        stopping = asyncio.create_task(api.stop(egress_id))
        try:
            await asyncio.wait([stopping], timeout=STOP_TIMEOUT_S if self._is_ending else None)
        except asyncio.CancelledError:
            await asyncio.wait([stopping], timeout=STOP_TIMEOUT_S)
            raise
        finally:
            stopping.cancel()
            (failure,) = await asyncio.gather(stopping, return_exceptions=True)
            if failure is None:
                self._budget.used_for = ""
            else:
                log.warning("livekit_egress_not_stopped", egress=egress_id, error=str(failure) or "no answer in time")

    async def _clear_away(self, api: EgressApi) -> None:
        """Stops what a bot that died has left behind: ourselves in this room, or others, as their lease tells."""
        ours = [egress.egress_id for egress in await api.active(self._room) if egress.mark == self._session]
        for egress_id in dict.fromkeys([*ours, *self._budget.left_behind]):
            log.warning("livekit_egress_left_behind", egress=egress_id)
            with suppress(EgressError):
                await api.stop(egress_id)

    async def _watch(self, api: EgressApi, egress_id: str) -> None:
        """Until the server says that it is over. Raises EgressError. That nobody answers means nothing."""
        while True:
            checkpoint()
            self._told.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_INTERVAL_S):
                    await self._told.wait()
            try:
                egress = await api.look(egress_id)
            except EgressError as error:
                log.debug("livekit_egress_unknown", egress=egress_id, error=str(error))
                continue
            if egress.state.is_over:
                state = egress.state.removeprefix("EGRESS_").lower()
                raise EgressError(f"the egress is over: {state} {egress.error}".strip())

    async def _play(self) -> None:
        """Plays the stream from when it is published until it ends. Raises EgressError."""
        has_begun = False

        def begin() -> None:
            nonlocal has_begun
            has_begun = True

        while True:
            checkpoint()
            try:
                await pull(self._stream.to_play, TRACK_ID, self._mix, opened=begin)
            except StreamError as error:
                if has_begun or error.reason is Reason.REFUSED:
                    raise EgressError(f"its stream: {error}") from None
            await asyncio.sleep(PULL_PAUSE_S)

    def _mix(self, frame: AudioFrame) -> None:
        """A piece of the mix, as late as it comes."""
        self.router.heard(self._now())
        if self._latency is None:
            if self.router.stage is Stage.OVERLAP:
                self._alignment.mix(frame)
            return
        said = replace(frame, arrival=frame.arrival - self._latency, late=self._latency)
        self._mix_end = max(self._mix_end, said.arrival + len(said.pcm) / SAMPLE_RATE)
        if self._handover.take(Road.COMPOSITE, said) and not self._is_mix_muted:
            self._listener.audio(said)

    # --- webhooks

    async def _listen(self, stack: AsyncExitStack) -> None:
        """What the server tells is no more than a reason to ask it; a port that is taken costs only that."""
        if self._egress.webhook_listen is None:
            return
        host, _, port = self._egress.webhook_listen.rpartition(":")
        webhooks = Webhooks(self._key, self._secret)
        try:
            await stack.enter_async_context(receiving(host.strip("[]"), int(port), webhooks, self._take_event))
        except (OSError, OverflowError) as error:
            log.warning("livekit_webhooks_not_taken", listen=self._egress.webhook_listen, error=str(error))

    def _take_event(self, event: EgressEvent) -> None:
        log.debug("livekit_webhook", webhook=event.event, egress=event.egress.egress_id, state=event.egress.state)
        self._told.set()


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels tasks and waits for them."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
