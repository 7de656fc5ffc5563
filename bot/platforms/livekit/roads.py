"""Roads of a LiveKit room: its participants' tracks, and the egress that pushes their mix to us over RTMP.

What is decided is in `bot.core.router`, what passes in `bot.audio.handover`, what becomes of an egress in
`room_egress`; here it is brought about: a place among all bots' egresses is taken, one is there or not, and its mix is
laid over the tracks.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from bot.audio.alignment import Alignment
from bot.audio.handover import Handover
from bot.audio.pauses import Pauses
from bot.core.events import ActiveSpeakers, TrackClosed, TrackMuted, TrackOpened, TrackUnmuted
from bot.core.router import Mode, Road, Router, Stage
from bot.platforms.livekit.egress import EgressError
from bot.platforms.livekit.room_egress import TRACK_ID, RoomEgress, end
from common.audio.pcm import SAMPLE_RATE
from common.cancellation import checkpoint

if TYPE_CHECKING:
    from bot.audio.frame import AudioFrame
    from bot.platforms.base import Budget, Invitation, Listener
    from bot.platforms.livekit.settings import LiveKitSettings

TICK_S = 0.1
"""Between looks at what is to be done: so long a pause in speech must at least be."""
BUDGET_INTERVAL_S = 3.0
SPEAKERS_INTERVAL_S = 0.5
"""Between reports of who speaks; the server tells changes only."""
ALIGN_INTERVAL_S = 1.0
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
        self._invitation, self._wall = invitation, wall
        self._room, self._listener, self._look, self._budget = room, listener, look, budget
        self.router = Router(Mode(settings.mode))
        self._handover = Handover()
        self._now = asyncio.get_running_loop().time
        self._speakers: frozenset[str] = frozenset()
        self._listened: dict[str, float] = {}  # who speaks, or did lately: when they were last said to
        self._wanted, self._gone = asyncio.Event(), asyncio.Event()  # an egress is to be there, or none any more
        self._stage = Stage.JOINED  # as logged
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
            egress = RoomEgress(self._invitation, self._room, self._budget, self._wall, self._mix)
            stack.push_async_callback(egress.close)
            stack.push_async_callback(self._budget.give_back)
            await egress.listen(stack)
            tasks = [asyncio.create_task(self._keep_budget()), asyncio.create_task(self._keep_egress(egress))]
            stack.push_async_callback(end, tasks)
            spoken_at = aligned_at = -math.inf
            stack.callback(egress.hurry)
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

    async def _keep_egress(self, egress: RoomEgress) -> None:
        """Has an egress as long as one is wanted, and gives the place back when it is gone."""
        with suppress(EgressError):
            await egress.clear_away()  # what we left behind, if we were started again
        while True:
            checkpoint()
            await self._wanted.wait()
            try:
                await egress.attend(self._gone, self._failed)
            except EgressError as error:
                log.warning("livekit_egress_failed", error=str(error))
                self._failed(error)
            self._wanted.clear()  # until the next look, should another one be
            if self._drain_until is not None:
                self._drain_until = None
                self._listener.event(TrackClosed(TRACK_ID))
            if not self.router.wants_budget:
                await self._budget.give_back()

    def _failed(self, error: EgressError) -> None:
        self.router.failed(str(error), self._now())

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
