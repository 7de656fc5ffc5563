"""Decoding of a few passes together: what a model says of their windows, tried again where that is worth it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import structlog

from common.whisperlive.protocol import SAMPLE_RATE
from transcriber.core.filters import Verdict
from transcriber.core.guards import agreed, best_of, is_missed, verdict_of
from transcriber.core.limits import Unanswered
from transcriber.core.session import SPEECH_FLOOR_RMS
from transcriber.core.transcript import DecodeJob
from transcriber.core.windows import Hypothesis, Window
from transcriber.engine.base import Decoder, EngineFailed, EngineLost, error_report
from transcriber.metrics import Metrics

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PassResult:
    """What came of one pass: a verdict for the metrics, and the text to show, if any."""

    verdict: str
    hypothesis: Hypothesis | None = None
    judged: tuple[Verdict, Hypothesis] | None = None
    """What the model said, shown or not, and what it is worth."""
    failed: bool = False


FAILED = PassResult("failed", failed=True)
"""What came of a pass without a window, or without a result that can be read."""


class Decoding:
    """Asks a decoder, and judges what it says.

    Args:
        decoder: Is asked.
        metrics: Counts calls and failures.
        broken: Told of an answer that we could not read.
    """

    def __init__(self, decoder: Decoder, metrics: Metrics, broken: Callable[[Exception], None]) -> None:
        self._decoder, self._metrics, self._broken = decoder, metrics, broken
        self._now = asyncio.get_running_loop().time
        self.unanswered = Unanswered()
        """For how long nothing was answered."""
        self.last_done: float | None = None
        """When the decoder last gave a result, on the loop's clock."""

    async def decode(self, jobs: Sequence[DecodeJob]) -> list[PassResult]:
        """Nothing where nobody speaks; a second try for what went astray, or missed much speech, if it may be the last
        word.

        That one has the full window and no prompt: it tells an echo of the prompt from somebody who says the same. A
        partial is not worth it: the next one comes soon, and music or noise would keep the model busy. What was heard
        with the utterance before, and came to nothing, is first heard by itself: it may be taken for a part of that,
        and the same words again are kept.
        """
        results = {n: PassResult("silence") for n, job in enumerate(jobs) if job.level < SPEECH_FLOOR_RMS}
        sounding = {n: job for n, job in enumerate(jobs) if n not in results}
        await self._attempt(sounding, results)
        together = {n: results[n] for n, job in sounding.items() if job.window.before and _is_nothing(results[n])}
        await self._attempt({n: _again(jobs[n], full=False) for n in together}, results)
        for n, first in together.items():
            results[n] = self._read(partial(_agreed, first, results[n]))
        astray = {n: result for n, result in results.items() if jobs[n].window.careful and _is_astray(jobs[n], result)}
        await self._attempt({n: _again(jobs[n], full=True) for n in astray}, results)
        for n, first in astray.items():
            results[n] = self._read(partial(_better, jobs[n], first, results[n]))
        return [results[n] for n in range(len(jobs))]

    async def _attempt(self, jobs: dict[int, DecodeJob], results: dict[int, PassResult]) -> None:
        if not jobs:
            return
        hypotheses = await self._isolate([job.window for job in jobs.values()])
        for (n, job), hypothesis in zip(jobs.items(), hypotheses, strict=True):
            results[n] = self._read(partial(_judged, job, hypothesis))

    def _read(self, reading: Callable[[], PassResult]) -> PassResult:
        """What we make of an answer; where that breaks, the pass has failed."""
        try:
            return reading()
        except Exception as error:
            self._broken(error)
            return FAILED

    async def _isolate(self, windows: Sequence[Window]) -> list[Hypothesis | None]:
        """Decodes together; if that fails, in halves, so that one bad window costs the others nothing. None: failed.

        After the loss of an engine nothing is tried here: it would be lost again and everybody would wait. What was
        with it is tried again alone, when its turn comes.
        """
        self._metrics.batch.observe(len(windows))
        try:
            return await self._call(windows)
        except Exception as error:  # of whatever decoder: it goes on
            self._metrics.failures.inc()
            is_known = isinstance(error, EngineFailed | EngineLost)
            problem = str(error) if is_known else error_report(error)
            log.error("decoding.failed", windows=len(windows), problem=problem)
            if isinstance(error, EngineLost) or len(windows) == 1:
                return [None] * len(windows)
        half = len(windows) // 2
        return [*await self._isolate(windows[:half]), *await self._isolate(windows[half:])]

    async def _call(self, windows: Sequence[Window]) -> list[Hypothesis | None]:
        is_answered = False
        self.unanswered.begin(self._now())
        try:
            hypotheses = await self._decoder.decode(windows)
            if len(hypotheses) != len(windows):
                raise EngineFailed(f"{len(hypotheses)} results for {len(windows)} windows")
            is_answered, self.last_done = True, self._now()
            return [*hypotheses]
        finally:
            self.unanswered.end(self._now(), answered=is_answered)


def _is_astray(job: DecodeJob, result: PassResult) -> bool:
    verdict = result.judged[0] if result.judged else Verdict.KEEP
    return verdict.is_anomaly or is_missed(verdict, job.work.certain)


def _is_nothing(result: PassResult) -> bool:
    return result.hypothesis is None and not result.failed


def _agreed(first: PassResult, second: PassResult) -> PassResult:
    """The second hearing, kept although it is doubtful by itself where the first was of the same words."""
    if second.hypothesis or not (first.judged and second.judged) or not agreed(first.judged[1], second.judged[1]):
        return second
    return PassResult("agreed", second.judged[1])


def _better(job: DecodeJob, first: PassResult, second: PassResult) -> PassResult:
    """The second try; or, if nothing came of it, what is to be kept of both."""
    if second.hypothesis or second.failed:
        return second
    kept = best_of([result.judged for result in (first, second) if result.judged], job.work.certain)
    if kept is None:
        return second
    return PassResult("loop cut" if kept[0] is Verdict.LOOP else "doubtful", kept[1])


def _again(job: DecodeJob, *, full: bool) -> DecodeJob:
    """The same without what was said before; in the `full` window without the prompt, too."""
    window = job.window
    return replace(job, window=replace(window, before=None, full=full, prompt=None if full else window.prompt))


def _judged(job: DecodeJob, hypothesis: Hypothesis | None) -> PassResult:
    if hypothesis is None:
        return FAILED
    if job.raw:
        return PassResult("decoded", hypothesis)
    verdict = verdict_of(job.window, hypothesis, job.work.certain / SAMPLE_RATE)
    return PassResult(verdict.value, hypothesis if verdict is Verdict.KEEP else None, (verdict, hypothesis))
