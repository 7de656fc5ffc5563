"""Engine in a process of its own, watched and replaced: a hang or a crash of native code costs a few windows.

One such process at a time, so one model in memory.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import sys
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from typing import NamedTuple, NoReturn

import structlog

from transcriber.config import Settings
from transcriber.core.limits import FIRST_START_S, TimeLimits, WarmUp, fitting
from transcriber.core.windows import Hypothesis, Window
from transcriber.engine.base import EngineFailed, EngineLost, ModelError
from transcriber.engine.ipc import (
    BatchFailure,
    BatchRequest,
    BatchResult,
    EngineBroken,
    EngineReady,
    EngineUnusable,
    pack,
    receive,
)

MAX_FAILURES = 10
"""Calls of a kind, careful or not, that fail in a row until the engine is replaced though it can decode silence: where
all finals fail, partials are no comfort."""
EXIT_GRACE_S = 1.0
"""What a hung engine gets to write where its threads are, and an ended one to be gone."""
RESTART_PAUSES_S = (0.5, 10.0)
"""Time before the next try to start it, doubled from the first to the last of these."""

log = structlog.get_logger(__name__)


class _Failing(Exception):
    """The engine answers, and every call fails."""


class _Call(NamedTuple):
    answer: asyncio.Future[list[Hypothesis]]
    deadline: float
    is_careful: bool


class EngineProcess:
    """The `Decoder` that the transcriber uses. `name`, `languages` and `batch` are there once `started` has returned.

    Args:
        settings: Say which engine; go to its process.
        on_restart: Called for each engine that has replaced another.
    """

    falls_together = True

    def __init__(self, settings: Settings, *, on_restart: Callable[[], None] = lambda: None) -> None:
        self.parallel = settings.parallel
        self.name = settings.model
        self.languages: frozenset[str] = frozenset()
        self.batch = self.full_batch = 1
        self.longest_window = 30.0
        self.limits = TimeLimits()
        self.is_failing = False
        self._settings = settings
        self._on_restart = on_restart
        self._numbers = itertools.count()
        self._slots = asyncio.Semaphore(settings.parallel)
        """One per thread of the engine: what is under way is being decoded, so its time counts from the start."""
        self._calls: dict[int, _Call] = {}
        """Under way in the engine, oldest first, also those that nobody waits for any more."""
        self._writer: StreamWriter | None = None
        self._up = asyncio.Event()
        self._limit = asyncio.timeout(None)
        self._failures = {False: 0, True: 0}
        """Calls that failed in a row, others and careful ones."""
        self._suspects: set[bool] = set()
        """Kinds for which an engine was replaced, and of which there was no result since."""
        self._has_started = False

    @property
    def is_up(self) -> bool:
        """An engine is there and warm."""
        return self._up.is_set()

    async def started(self) -> None:
        """Returns once there is an engine."""
        await self._up.wait()

    async def decode(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """One hypothesis per window. Raises EngineFailed, EngineLost."""
        await self._slots.acquire()
        try:
            while not self.is_up:
                await self._up.wait()
        except asyncio.CancelledError:
            self._slots.release()
            raise
        loop = asyncio.get_running_loop()
        is_careful = any(window.careful for window in windows)
        call = _Call(loop.create_future(), loop.time() + self.limits.call, is_careful)
        number = next(self._numbers)
        self._calls[number] = call
        self._watch()
        assert self._writer
        self._writer.write(pack(BatchRequest(number, tuple(windows))))  # what waits unsent is bounded by the slots
        return await call.answer

    async def run(self) -> None:
        """Keeps an engine up until cancelled; then its process is gone.

        Raises:
            ModelError: the first one cannot be had. The later ones are tried for again and again.
        """
        pause = 0.0
        while True:
            try:
                await self._live()
                pause = 0.0
                continue
            except ModelError as error:
                problem = error
            except OSError as error:
                problem = ModelError(f"No process can be started for the model: {error}. Raise this machine's limits.")
            if not self._has_started:
                raise problem
            pause = min(max(RESTART_PAUSES_S[0], 2 * pause), RESTART_PAUSES_S[1])
            log.error("engine.not_replaced", problem=str(problem), next_try_in=pause)
            await asyncio.sleep(pause)

    async def _live(self) -> None:
        """One engine, until it is lost. Raises ModelError when it never comes up."""
        async with _child() as (process, reader, writer):
            await self._start(process, reader, writer)
            problem = "the transcriber is stopping"
            try:
                problem = await self._listen(process, reader)
                log.error("engine.lost", pid=process.pid, problem=problem, calls=len(self._calls))
            finally:
                self._give_up(problem)

    async def _start(self, process: Process, reader: StreamReader, writer: StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        limit = self.limits.start if self._has_started else FIRST_START_S
        writer.write(pack(self._settings))
        try:
            async with asyncio.timeout(limit):
                answer: EngineReady | EngineUnusable = await receive(reader)
        except TimeoutError:
            await _dump(process)
            advice = "Fetch it beforehand and pass its folder, or use a smaller --model"
            raise ModelError(f"The model {self.name} was not ready within {limit:g} s. {advice}.") from None
        except (IncompleteReadError, OSError):
            raise ModelError(f"The model {self.name} cannot be loaded: its process {await _end(process)}") from None
        if isinstance(answer, EngineUnusable):
            raise ModelError(answer.problem)
        self.name, self.languages, self.batch = answer.name, answer.languages, answer.batch
        self.full_batch, self.longest_window = answer.full_batch, answer.longest_window
        took = WarmUp(max(0.0, loop.time() - began - answer.fetching), answer.short, answer.full)
        self.limits = fitting(took, max(self.batch, self.full_batch))
        self.is_failing, self._failures = False, {False: 0, True: 0}
        self._writer = writer
        self._up.set()
        seconds = {name: round(value, 2) for name, value in asdict(took).items()}
        log.info("engine.ready", pid=process.pid, model=self.name, **seconds, hung_after=round(self.limits.call, 1))
        if self._has_started:
            self._on_restart()
        self._has_started = True

    async def _listen(self, process: Process, reader: StreamReader) -> str:
        """Takes answers until the engine hangs or ends; what happened."""
        try:
            await self._answers(reader)
        except TimeoutError:
            await _dump(process)
            advice = "If it was only slow: a smaller --model, more --threads, or --device cuda"
            return f"no answer within {self.limits.call:.1f} s; where its threads were is above. {advice}"
        except _Failing as error:
            self.is_failing = True
            return f"every call fails, the last with {error}"
        except (IncompleteReadError, OSError):
            return f"its process {await _end(process)}"

    async def _answers(self, reader: StreamReader) -> NoReturn:
        try:
            async with asyncio.timeout(None) as self._limit:
                while True:
                    self._take(await receive(reader))
        finally:
            self._up.clear()

    def _take(self, message: BatchResult | BatchFailure | EngineBroken) -> None:
        if isinstance(message, EngineBroken):
            raise _Failing(message.problem)
        call = self._calls.pop(message.number)
        self._slots.release()
        self._watch()
        if isinstance(message, BatchResult):
            self._note_result(call.is_careful)
        if call.answer.done():  # cancelled
            pass
        elif isinstance(message, BatchResult):
            call.answer.set_result(message.hypotheses)
        else:
            call.answer.set_exception(EngineFailed(message.problem))
        if isinstance(message, BatchFailure):
            self._note_failure(call.is_careful, message.problem)

    def _note_result(self, is_careful: bool) -> None:
        self._failures[is_careful] = 0
        self._suspects.discard(is_careful)
        self.is_failing = bool(self._suspects) and self.is_failing

    def _note_failure(self, is_careful: bool, problem: str) -> None:
        """A new engine has to show that it is better than the one before. Raises _Failing."""
        self._failures[is_careful] += 1
        self.is_failing |= is_careful in self._suspects
        if self._failures[is_careful] >= MAX_FAILURES:
            self._suspects.add(is_careful)
            raise _Failing(problem)

    def _watch(self) -> None:
        """The oldest call decides until when an answer must have come."""
        if not self._limit.expired():  # if it is, all calls are being given up
            self._limit.reschedule(next((call.deadline for call in self._calls.values()), None))

    def _give_up(self, problem: str) -> None:
        """All calls under way are lost."""
        for call in self._calls.values():
            self._slots.release()
            if not call.answer.done():
                call.answer.set_exception(EngineLost(problem))
        self._calls.clear()


@asynccontextmanager
async def _child() -> AsyncIterator[tuple[Process, StreamReader, StreamWriter]]:
    """A process and the line to it; both are gone after the block."""
    ours, theirs = socket.socketpair()
    with theirs:
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-X", "faulthandler", "-m", "transcriber.engine.child", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=DEVNULL,
                stdout=2,  # ours is for the ready line alone
                # the same modules as here, whatever the working folder; OpenBLAS: its threads spin for tiny products
                env={"OPENBLAS_NUM_THREADS": "1", **os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            theirs.close()
            try:
                yield process, reader, writer
            finally:
                await _gone(process)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def _dump(process: Process) -> None:
    """Makes it write where its threads are, and end."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGABRT)
    with suppress(TimeoutError):
        async with asyncio.timeout(EXIT_GRACE_S):
            await process.wait()


async def _end(process: Process) -> str:
    """How a process that has closed its line ended; for people, with what to do."""
    with suppress(TimeoutError):
        async with asyncio.timeout(EXIT_GRACE_S):
            await process.wait()
    match process.returncode:
        case None:
            return "closed its line"
        case -9:
            return "was killed (SIGKILL). If that was for want of memory: give it more, or use a smaller --model"
        case code if code < 0:
            return f"crashed ({signal.Signals(-code).name}); where its threads were is above"
        case code:
            return f"ended with exit code {code}"


async def _gone(process: Process) -> None:
    """Kills it; returns when it is gone."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
