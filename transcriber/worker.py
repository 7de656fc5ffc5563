"""Worker between streams and the engine: takes there what is to be decoded, and back what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

import structlog

from common.whisperlive.protocol import SAMPLE_RATE, WireSegment
from transcriber.core.load import Effort, LoadShedder
from transcriber.core.policy import DecodeRequest, Pass, PassKind
from transcriber.core.scheduler import Scheduler
from transcriber.core.transcript import DecodeJob
from transcriber.core.windows import Hypothesis
from transcriber.decoding import FAILED, Decoding, PassResult
from transcriber.engine.base import Decoder, error_report
from transcriber.metrics import Metrics
from transcriber.sessions import SessionListener

LOAD_TICK_S = 0.5
"""Time between looks at the load."""
MAX_BROKEN_PASSES = 10
"""Passes in a row that broke in this process, as they began or ended: red, as for an engine that fails so often."""

log = structlog.get_logger(__name__)


class Decodable(Protocol):
    """What wants to be decoded, pass after pass: a stream, or a window of a recording."""

    @property
    def is_live(self) -> bool:
        """Somebody is waiting for each result."""

    @property
    def ended_at(self) -> float:
        """When the last utterance that has a final had ended, in seconds on the loop's clock."""

    def adapt(self, effort: Effort) -> None:
        """Does more or less beside the finals from now on."""

    def next_request(self) -> DecodeRequest | None:
        """The most urgent pass."""

    def begin(self) -> DecodeJob:
        """Starts the pass that `next_request` asked for."""

    def finish(self, job: DecodeJob, result: Hypothesis | None) -> list[WireSegment]:
        """Ends the pass with its result, None where nothing was said; returns the segments to show."""

    def fail(self, job: DecodeJob | None, now: float) -> tuple[Pass | None, list[WireSegment]]:
        """Ends the pass: the engine failed; None: it could not begin.

        Returns the pass if what it was over is given up, but for what the segments say.
        """

    def release(self) -> list[WireSegment]:
        """The finals that were ready before their utterances ended."""


class Worker:
    """Takes passes from all sessions, the most urgent first.

    Args:
        decoder: Gets as many passes at once as it says are worth having.
        metrics: Counts them.
    """

    def __init__(self, decoder: Decoder, metrics: Metrics) -> None:
        self._decoder = decoder
        self._metrics = metrics
        self._scheduler: Scheduler[Decodable] = Scheduler(exclusive=decoder.falls_together)
        self._load = LoadShedder()
        self._listeners: dict[Decodable, SessionListener] = {}
        self._running: dict[Decodable, float] = {}
        """Since when the passes under way were due."""
        self._background = 0  # calls for recordings under way
        self._decoding = Decoding(decoder, metrics, partial(self._broken, "judge"))
        self._broken_in_a_row = 0
        self._wake = asyncio.Event()
        self._now = asyncio.get_running_loop().time

    def add(self, session: Decodable, listener: SessionListener) -> None:
        """Serves a session until `remove`."""
        self._listeners[session] = listener
        session.adapt(self._load.effort)

    def remove(self, session: Decodable) -> None:
        """Forgets a session; what is under way for it is thrown away."""
        del self._listeners[session]
        self._scheduler.submit(session, None)

    def poke(self, session: Decodable) -> None:
        """The session has heard something: perhaps a final is ready, perhaps it wants a pass."""
        if segments := session.release():
            self._show(session, segments, self._now())
        request = session.next_request()
        self._scheduler.submit(session, request)
        if request:
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

    @property
    def last_done(self) -> float | None:
        """When the engine last gave a result, on the loop's clock."""
        return self._decoding.last_done

    def unanswered(self, now: float) -> float:
        """For how many seconds the engine was asked and gave no result."""
        return self._decoding.unanswered.seconds(now)

    @property
    def is_failing(self) -> bool:
        """Nothing is decoded: the engine fails every call, or we fail to make or to read each."""
        return self._decoder.is_failing or self._broken_in_a_row >= MAX_BROKEN_PASSES

    def is_stalled(self, now: float) -> bool:
        """Results do not come: not because there is much to do, but none at all."""
        return self.unanswered(now) > self._decoder.limits.answer

    @property
    def waiting(self) -> int:
        """Sessions with a pass due."""
        return self._scheduler.waiting

    @property
    def _background_limit(self) -> int:
        """Windows of recordings that may begin. Where there are several calls at once, one is left for those who are
        live: a full window takes seconds on a CPU."""
        may_begin = self._background < max(1, self._decoder.parallel - 1)
        return self._decoder.full_batch if may_begin else 0

    async def _serve(self) -> None:
        while True:
            requests = self._scheduler.take(self._decoder.batch, self._background_limit)
            self._metrics.waiting.set(self._scheduler.waiting)
            if requests:
                await self._pass(requests)
            else:
                self._wake.clear()
                await self._wake.wait()

    async def _pass(self, requests: Sequence[tuple[Decodable, DecodeRequest]]) -> None:
        """Decodes the passes of several sessions together."""
        began = self._now()
        for session, request in requests:
            if session.is_live:
                self._running[session] = request.due
                self._load.waited(began - request.due, began)
            self._metrics.queue_wait.labels(request.kind.name.lower()).observe(began - request.due)
        kind = requests[0][1].kind
        is_background = kind is PassKind.BACKGROUND
        waits = [began - request.due for _, request in requests]
        is_hurried = not is_background and self._load.hurries(waits, self._scheduler.oldest(began))
        self._background += is_background
        jobs: dict[Decodable, DecodeJob] = {}
        unbegun: list[Decodable] = []
        try:
            for session, _ in requests:
                try:
                    job = session.begin()
                    jobs[session] = replace(job, window=replace(job.window, hurried=is_hurried))
                except Exception as error:
                    self._broken("begin", error)
                    unbegun.append(session)
            results = await self._decoding.decode([*jobs.values()])
        finally:
            self._background -= is_background
            for session, _ in requests:
                self._running.pop(session, None)
                self._scheduler.done(session)
            self._wake.set()  # for what had to wait until nothing is under way
        now = self._now()
        if jobs:
            self._metrics.decoding.labels(kind.name.lower()).observe(now - began)
        for (session, job), result in zip(jobs.items(), results, strict=True):
            self._finish(session, job, result, now)
            self._note(job, result, now - began)
        for session in unbegun:
            self._finish(session, None, FAILED, now)
            self._metrics.passes.labels(kind.name.lower(), FAILED.verdict).inc()

    def _finish(self, session: Decodable, job: DecodeJob | None, result: PassResult, now: float) -> None:
        if (listener := self._listeners.get(session)) is None:
            return
        try:
            given_up, segments = self._over(session, job, result, now)
            if given_up:
                self._metrics.lost.inc()
                first, last = given_up.utterance.bounds(given_up.end)
                listener.lose(first / SAMPLE_RATE, last / SAMPLE_RATE)
            if segments and job and job.work.kind is PassKind.FIRST_PARTIAL:
                self._metrics.first_partial.observe(now - job.work.utterance.opened_at)
            self._show(session, segments, now)
            self.poke(session)
        except Exception as error:
            self._broken("show", error)

    def _over(
        self, session: Decodable, job: DecodeJob | None, result: PassResult, now: float
    ) -> tuple[Pass | None, list[WireSegment]]:  # fmt: skip
        """Ends the pass, as failed where its result breaks the session. The pass, if what it was over is given up."""
        if job and not result.failed:
            try:
                segments = session.finish(job, result.hypothesis)
                self._broken_in_a_row = 0
                return None, segments
            except Exception as error:
                self._broken("finish", error)
        try:
            return session.fail(job, now)
        except Exception as error:
            self._broken("fail", error)
            return job.work if job and job.work.kind is PassKind.FINAL else None, []

    def _broken(self, step: str, error: Exception) -> None:
        """Whatever is wrong with one window costs that one: it is logged, without what was said."""
        self._metrics.failures.inc()
        self._broken_in_a_row += 1
        log.error("decoding.broken", step=step, problem=error_report(error))

    def _show(self, session: Decodable, segments: list[WireSegment], now: float) -> None:
        if session.is_live and any(segment.completed for segment in segments):
            self._metrics.final_latency.observe(now - session.ended_at)
        self._listeners[session].show(segments)

    # --- watching --------------------------------------------------------------------------------------------------

    async def _watch_load(self) -> None:
        """Sheds and takes back; runs also while nothing is decoded."""
        shed = 0
        while True:
            await asyncio.sleep(LOAD_TICK_S)
            if self._load.update(now := self._now(), self._scheduler.oldest(now)):
                log.warning("load.level", shed=self._load.level)
                for session in self._listeners:
                    self._adapt(session)
            self._metrics.level.set(self._load.level)
            self._metrics.shed.inc(self._scheduler.shed - shed)
            shed = self._scheduler.shed

    def _adapt(self, session: Decodable) -> None:
        try:
            session.adapt(self._load.effort)
            self._scheduler.submit(session, session.next_request())
        except Exception as error:
            self._broken("adapt", error)

    def _note(self, job: DecodeJob, result: PassResult, seconds: float) -> None:
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
