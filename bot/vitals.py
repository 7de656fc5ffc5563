"""Vitals of a bot, for whoever asks how it is: what it counts, and what its health endpoint answers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any

from bot.audio.frame import AudioFrame
from bot.core.effects import ReportHealth
from bot.core.meeting import MeetingCore
from bot.health_endpoint import HOST, HOST_VARIABLE, LoopLag, health_port, serve_health
from bot.metrics import BotMetrics
from common.audio.pcm import SAMPLE_RATE
from common.contracts.health import BotHealth
from common.contracts.segments import Segment, Source
from common.contracts.status import State

STOOD_STILL_S = 3.0
"""Seconds without a turn of the event loop that are said."""


class Vitals:
    """The signs of life of one bot.

    Args:
        core: Knows the lifecycle's state and what is heard.
        backlog: How many entries wait for Redis, and seconds of the oldest.
        report: Told when the process stood still for so long that something may have been missed.
    """

    def __init__(
        self, core: MeetingCore, backlog: Callable[[], tuple[int, float]], report: Callable[[ReportHealth], None]
    ) -> None:
        self._core, self._backlog, self._report = core, backlog, report
        self._audio_at: float | None = None
        self._loop_lag = LoopLag(self._late)
        self.metrics = BotMetrics()
        self.links_up: dict[str, bool] = {}
        """Whether each neighbour that the bot needs is connected."""
        self.ready = False
        """Whether the neighbours have answered."""

    def audio(self, frame: AudioFrame) -> None:
        """A piece of a track has come."""
        self._audio_at = asyncio.get_running_loop().time()
        self.metrics.audio.inc(len(frame.pcm) / SAMPLE_RATE)

    def segment(self, segment: Segment, zero: float) -> None:
        """A partial or a final goes out; `zero`: monotonic seconds of meeting time zero."""
        if segment.source is not Source.SPEECH:
            self.metrics.segments.labels(segment.source).inc()
            return
        self.metrics.segments.labels("final" if segment.completed else "partial").inc()
        if segment.completed:
            since_end = asyncio.get_running_loop().time() - zero - segment.end
            self.metrics.stage.labels("decided").observe(max(since_end, 0.0))

    def _late(self, seconds: float) -> None:
        """The kernel keeps some 5 s of packets for a process that does not read; others are lost without a trace."""
        if seconds >= STOOD_STILL_S and self._core.lifecycle.state is State.ACTIVE:
            detail = f"the bot stood still for {seconds:.1f} s: some of what was said then may be lost"
            self._report(ReportHealth("gap:bot", False, detail))

    def work(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What is to run while the bot lives, by name."""
        host = os.environ.get(HOST_VARIABLE) or HOST
        return {
            "health": serve_health(health_port(os.environ), self._health, self._scraped, host),
            "lag": self._loop_lag.measure(),
        }

    def _health(self) -> BotHealth:
        now = asyncio.get_running_loop().time()
        return BotHealth(
            self._core.lifecycle.state,
            self.links_up,
            None if self._audio_at is None else now - self._audio_at,
            ready=self.ready,
            loop_lag=self._loop_lag(),
            hearing=self._core.health.room(now),
            tracks=self._core.health.counters,
        )

    def _scraped(self, health: BotHealth) -> bytes:
        return self.metrics.render(health, self._backlog())
