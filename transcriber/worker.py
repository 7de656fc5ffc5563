"""Takes what streams want decoded to the engine, and what it made of that back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from common.whisperlive.protocol import SAMPLE_RATE, WireSegment
from transcriber.core.filters import Verdict, judge
from transcriber.core.load import Load
from transcriber.core.policy import Kind, Want
from transcriber.core.scheduler import Scheduler
from transcriber.core.session import SPEECH_FLOOR, Session
from transcriber.core.transcript import Job
from transcriber.core.windows import Hypothesis, Window
from transcriber.engine.base import Decoder, EngineFailed, EngineLost
from transcriber.metrics import Metrics

STALL = 10.0
"""Seconds after which a live pass that is due and not done means that something is wrong."""
TICK = 0.5
"""Seconds between looks at the load."""

log = structlog.get_logger(__name__)


class Listener(Protocol):
    """Who the results of a session are for; called on the event loop."""

    def show(self, segments: list[WireSegment]) -> None:
        """Hears the segments of each pass, also when there are none."""

    def lose(self, start: float, end: float) -> None:
        """The speech between these seconds is given up: the engine failed on it twice."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one pass."""

    verdict: str
    hypothesis: Hypothesis | None = None
    failed: bool = False


class Worker:
    """Takes passes from all sessions, the most urgent first.

    Args:
        decoder: Gets as many passes at once as it says are worth having.
        metrics: Counts them.
    """

    def __init__(self, decoder: Decoder, metrics: Metrics) -> None:
        self._decoder = decoder
        self._metrics = metrics
        self._scheduler: Scheduler[Session] = Scheduler()
        self._load = Load()
        self._listeners: dict[Session, Listener] = {}
        self._running: dict[Session, float] = {}
        """Since when the passes under way were due."""
        self._wake = asyncio.Event()
        self._now = asyncio.get_running_loop().time
        self.last_done: float | None = None
        """When the engine last gave a result, on the loop's clock."""

    def add(self, session: Session, listener: Listener) -> None:
        """Serves a session until `remove`."""
        self._listeners[session] = listener
        session.adapt(self._load.effort)

    def remove(self, session: Session) -> None:
        """Forgets a session; what is under way for it is thrown away."""
        del self._listeners[session]
        self._scheduler.offer(session, None)

    def poke(self, session: Session) -> None:
        """The session has heard something: perhaps a final is ready, perhaps it wants a pass."""
        if segments := session.release():
            self._show(session, segments, self._now())
        want = session.want()
        self._scheduler.offer(session, want)
        if want:
            self._wake.set()

    async def run(self) -> None:
        """Decodes until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_load())
            for _ in range(self._decoder.parallel):
                tasks.create_task(self._serve())

    @property
    def level(self) -> int:
        """How much is left out because of load, from 0: nothing."""
        return self._load.level

    @property
    def admits(self) -> bool:
        """New sessions can be served in time."""
        return self._load.effort.admit

    def oldest_wait(self, now: float) -> float:
        """Seconds since the oldest live pass that is not done was due."""
        return max([self._scheduler.oldest(now), *(now - due for due in self._running.values())])

    def is_stalled(self, now: float) -> bool:
        """Results do not come."""
        return self.oldest_wait(now) > STALL

    @property
    def waiting(self) -> int:
        """Sessions with a pass due."""
        return self._scheduler.waiting

    async def _serve(self) -> None:
        while True:
            offers = self._scheduler.next(self._decoder.batch)
            self._metrics.waiting.set(self._scheduler.waiting)
            if offers:
                await self._pass(offers)
            else:
                self._wake.clear()
                await self._wake.wait()

    async def _pass(self, offers: Sequence[tuple[Session, Want]]) -> None:
        """Decodes the passes of several sessions together."""
        began = self._now()
        for session, want in offers:
            if session.is_live:
                self._running[session] = want.due
                self._load.waited(began - want.due, began)
            self._metrics.queue_wait.labels(want.kind.name.lower()).observe(began - want.due)
        sessions = [session for session, _ in offers]
        try:
            jobs = [session.begin() for session in sessions]
            results = await self._decode(jobs)
        finally:
            for session in sessions:
                self._running.pop(session, None)
                self._scheduler.done(session)
        now = self._now()
        self._metrics.decoding.labels(jobs[0].work.kind.name.lower()).observe(now - began)
        for session, job, result in zip(sessions, jobs, results, strict=True):
            self._finish(session, job, result, now)
            self._note(job, result, now - began)

    def _finish(self, session: Session, job: Job, result: Result, now: float) -> None:
        if session not in self._listeners:
            return
        if result.failed:
            given_up, segments = session.fail(job, now)
            if given_up:
                self._metrics.lost.inc()
                first, last = job.work.utterance.bounds(job.work.end)
                self._listeners[session].lose(first / SAMPLE_RATE, last / SAMPLE_RATE)
        else:
            segments = session.finish(job, result.hypothesis)
        if segments and job.work.kind is Kind.FIRST_PARTIAL:
            self._metrics.first_partial.observe(now - job.work.utterance.opened_at)
        self._show(session, segments, now)
        self.poke(session)

    def _show(self, session: Session, segments: list[WireSegment], now: float) -> None:
        if session.is_live and any(segment.completed for segment in segments):
            self._metrics.final_latency.observe(now - session.ended_at)
        self._listeners[session].show(segments)

    # --- decoding --------------------------------------------------------------------------------------------------

    async def _decode(self, jobs: Sequence[Job]) -> list[Result]:
        """Nothing where nobody speaks; a second try for what went astray, where there is time for it.

        That one has the full window and no prompt: it tells an echo of the prompt from somebody who says the same.
        """
        results = {n: Result("silence") for n, job in enumerate(jobs) if job.level < SPEECH_FLOOR}
        await self._attempt({n: job for n, job in enumerate(jobs) if n not in results}, results)
        again = {
            n: replace(jobs[n], window=replace(jobs[n].window, full=True, prompt=None))
            for n, result in results.items()
            if result.verdict in ASTRAY and (jobs[n].window.careful or not self._load.level)
        }
        await self._attempt(again, results)
        return [results[n] for n in range(len(jobs))]

    async def _attempt(self, jobs: dict[int, Job], results: dict[int, Result]) -> None:
        if not jobs:
            return
        hypotheses = await self._isolate([job.window for job in jobs.values()])
        for (n, job), hypothesis in zip(jobs.items(), hypotheses, strict=True):
            results[n] = _judged(job, hypothesis)

    async def _isolate(self, windows: Sequence[Window]) -> list[Hypothesis | None]:
        """Decodes together; if that fails, in halves, so that one bad window costs the others nothing. None: failed.

        After the loss of an engine nothing is tried here: it would be lost again and everybody would wait. What was
        with it is tried again alone, when its turn comes.
        """
        self._metrics.batch.observe(len(windows))
        try:
            hypotheses = await self._decoder.decode(windows)
            if len(hypotheses) != len(windows):
                raise EngineFailed(f"{len(hypotheses)} results for {len(windows)} windows")
            self.last_done = self._now()
            return [*hypotheses]
        except (EngineFailed, EngineLost) as error:
            self._metrics.failures.inc()
            log.error("decoding.failed", windows=len(windows), problem=str(error))
            if isinstance(error, EngineLost) or len(windows) == 1:
                return [None] * len(windows)
        half = len(windows) // 2
        return [*await self._isolate(windows[:half]), *await self._isolate(windows[half:])]

    # --- watching --------------------------------------------------------------------------------------------------

    async def _watch_load(self) -> None:
        """Sheds and takes back; runs also while nothing is decoded."""
        shed = 0
        while True:
            await asyncio.sleep(TICK)
            if self._load.update(now := self._now(), self._scheduler.oldest(now)):
                log.warning("load.level", shed=self._load.level)
                for session in self._listeners:
                    session.adapt(self._load.effort)
                    self._scheduler.offer(session, session.want())
            self._metrics.level.set(self._load.level)
            self._metrics.shed.inc(self._scheduler.shed - shed)
            shed = self._scheduler.shed

    def _note(self, job: Job, result: Result, seconds: float) -> None:
        kind = job.work.kind
        name = kind.name.lower()
        self._metrics.passes.labels(name, result.verdict).inc()
        (log.info if kind.is_careful else log.debug)(
            "decoding.done",
            kind=name,
            verdict=result.verdict,
            ms=round(1000 * seconds),
            audio_s=round(len(job.window.samples) / SAMPLE_RATE, 2),
            audio_level=round(job.level, 4),
        )


ASTRAY = frozenset(verdict.value for verdict in Verdict if verdict.is_anomaly)


def _judged(job: Job, hypothesis: Hypothesis | None) -> Result:
    if hypothesis is None:
        return Result("failed", failed=True)
    verdict = judge(
        hypothesis.text,
        seconds=len(job.window.samples) / SAMPLE_RATE,
        speech_seconds=job.speech / SAMPLE_RATE,
        tokens=hypothesis.tokens,
        avg_logprob=hypothesis.avg_logprob,
        no_speech=hypothesis.no_speech,
        prompt=job.window.prompt,
    )
    return Result(verdict.value, hypothesis if verdict is Verdict.KEEP else None)
