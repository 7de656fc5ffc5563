"""Takes what streams want decoded to the engine, and what it made of that back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog

from transcriber.core.filters import Verdict, judge
from transcriber.core.policy import Kind
from transcriber.core.scheduler import Scheduler
from transcriber.core.session import SPEECH_FLOOR, Job, Session
from transcriber.core.windows import Hypothesis, Window
from transcriber.engine.base import Decoder, EngineFailed, EngineLost
from transcriber.metrics import Metrics
from transcriber.protocol import SAMPLE_RATE, WireSegment

STALL = 30.0
"""Seconds after which a decoding that has not come back counts as stuck."""

log = structlog.get_logger(__name__)

Listener = Callable[[list[WireSegment]], None]
"""Hears the segments of each pass; called on the event loop, also with none."""


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
        self._listeners: dict[Session, Listener] = {}
        self._running: dict[Session, float] = {}
        self._wake = asyncio.Event()

    def add(self, session: Session, listener: Listener) -> None:
        """Serves a session until `remove`."""
        self._listeners[session] = listener

    def remove(self, session: Session) -> None:
        """Forgets a session; what is under way for it is thrown away."""
        del self._listeners[session]
        self._scheduler.offer(session, None)

    def poke(self, session: Session) -> None:
        """The session has heard something: perhaps it wants a pass."""
        if (want := session.want()) is not None:
            self._scheduler.offer(session, want)
            self._wake.set()

    async def run(self) -> None:
        """Decodes until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._decoder.parallel):
                tasks.create_task(self._serve())

    def is_stalled(self, now: float) -> bool:
        """A decoding has been under way for longer than any takes."""
        return any(now - since > STALL for since in self._running.values())

    async def _serve(self) -> None:
        while True:
            self._metrics.waiting.set(self._scheduler.waiting)
            offer = self._scheduler.next()
            if offer is None:
                self._wake.clear()
                await self._wake.wait()
            else:
                await self._pass(offer[0])

    async def _pass(self, session: Session) -> None:
        loop = asyncio.get_running_loop()
        job = session.begin()
        started = self._running[session] = loop.time()
        result, verdict = None, "failed"
        try:
            result, verdict = await decode(self._decoder, job)
        except (EngineFailed, EngineLost) as error:  # the other streams go on
            self._metrics.failures.inc()
            session.failures += 1
            kind = job.work.kind.name.lower()
            log.error("decoding.failed", utterance=job.work.utterance.number, kind=kind, problem=str(error))
        finally:
            del self._running[session]
            self._scheduler.done(session)
        now = loop.time()
        self._note(session, job, verdict, now - started, now)
        listener = self._listeners.get(session)
        if listener is not None:
            listener(session.finish(job, result))
            self.poke(session)

    def _note(self, session: Session, job: Job, verdict: str, seconds: float, now: float) -> None:
        kind = job.work.kind.name.lower()
        self._metrics.passes.labels(kind, verdict).inc()
        self._metrics.decoding.labels(kind).observe(seconds)
        if job.work.kind is Kind.FINAL and session.is_live:
            self._metrics.final_latency.observe(now - job.work.utterance.closed_at)
        log.debug(
            "decoding.done",
            kind=kind,
            verdict=verdict,
            ms=round(1000 * seconds),
            audio_s=round(len(job.window.samples) / SAMPLE_RATE, 2),
            level=round(job.level, 4),
        )


async def decode(decoder: Decoder, job: Job) -> tuple[Hypothesis | None, str]:
    """One pass: nothing for silence, a second try with the full window for a final that went astray.

    Returns the hypothesis, None where there is nothing to show, and the verdict for the log.
    """
    if job.level < SPEECH_FLOOR:
        return None, "silence"
    result, verdict = await _attempt(decoder, job.window)
    if verdict.is_anomaly and job.work.kind is Kind.FINAL:
        result, verdict = await _attempt(decoder, replace(job.window, full=True))
    return (result if verdict is Verdict.KEEP else None), verdict.value


async def _attempt(decoder: Decoder, window: Window) -> tuple[Hypothesis, Verdict]:
    [result] = await decoder.decode([window])
    verdict = judge(
        result.text,
        seconds=len(window.samples) / SAMPLE_RATE,
        tokens=result.tokens,
        avg_logprob=result.avg_logprob,
        no_speech=result.no_speech,
        prompt=window.prompt,
    )
    return result, verdict
