"""Decoder that asks a server with OpenAI's API: one call of `/audio/transcriptions` per window.

It has no process of its own: there is no native code here that could hang or crash, and a call ends when its time is
over. A server that is lost is asked again and again with a second of silence; meanwhile windows wait, and none is lost.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import httpx
import numpy as np
import structlog

from common.contracts.languages import LANGUAGE_NAMES
from common.redact import Redactor
from common.whisperlive.protocol import SAMPLE_RATE
from transcriber.config import RemoteSettings, Settings
from transcriber.core.languages import MIN_SPEECH_S
from transcriber.core.limits import TimeLimits
from transcriber.core.windows import Hypothesis, Window
from transcriber.engine.base import EngineFailed, EngineLost, ModelError
from transcriber.engine.openai_wire import (
    Detail,
    PassingError,
    RejectedError,
    UnusableError,
    error_of,
    form,
    hypothesis,
    message_of,
)

START_TIMEOUT_S = 60.0
"""Time that a server may take until it can be used for the first time."""
CONNECT_TIMEOUT_S = 5.0
CAREFUL_CALLS = 3
"""A final may take the time of so many calls, with its retries; a partial that of one, for its stream waits for it."""
RETRY_PAUSES_S = (0.25, 4.0)
"""Time before a call is tried again, doubled from the first to the last of these, and up to a half less by chance."""
PROBE_PAUSES_S = (0.5, 10.0)
"""Time before a lost server is asked again, doubled from the first to the last of these."""
MAX_HOLD_S = 60.0
"""For so long a server may ask to be left alone; after that it is one that does not answer."""
MAX_FAILURES, ILLNESS_S = 3, 60.0
"""Windows in a row that were not taken, after which the server counts as ill until it decodes one; or until nobody has
asked for so many seconds: it needs another chance to show that it is well. Those that it refuses do not count while it
takes silence: a client's language or prompt may be what it does not take."""
MAX_ANSWER_BYTES = 1 << 20
MAX_GUESSES = 3
"""Allowed languages that a window is decoded in where the server heard one that is not."""
IDLE_PROBE_S = 30.0
"""Time without a call after which a server is asked with silence whether it is still there."""
PROBE_WINDOW = Window(np.zeros(SAMPLE_RATE, np.int16), words=True)
"""Silence: the form and the key are what is tried."""

log = structlog.get_logger(__name__)


class OpenAIDecoder:
    """The `Decoder` for such a server.

    Args:
        settings: `model` names one of the server's, `parallel` says how many calls there are at once.
        remote: The server.
        on_restart: Called each time that a lost server can be used again.
    """

    batch = full_batch = 1
    longest_window = 30.0
    falls_together = False
    languages = frozenset(LANGUAGE_NAMES)

    def __init__(
        self, settings: Settings, remote: RemoteSettings, *, on_restart: Callable[[], None] = lambda: None
    ) -> None:  # fmt: skip
        self.name = settings.model
        self.parallel = settings.parallel
        self._remote = remote
        self._on_restart = on_restart
        self._detail = Detail.WORDS
        key = remote.key
        self._redact = Redactor([key] if key else [])
        self._client = httpx.AsyncClient(
            headers={"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {key}"} if key else {}),
            timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT_S),  # each call has a limit as a whole
            limits=httpx.Limits(max_connections=settings.parallel + 1),  # the worker's calls, and silence
        )
        self._now = asyncio.get_running_loop().time
        self._usable, self._lost = asyncio.Event(), asyncio.Event()
        self._answered_at = self._held_until = self._asked_at = self._now()
        self.limits = TimeLimits(call=CAREFUL_CALLS * remote.timeout, start=START_TIMEOUT_S)
        self._failures, self._failed_at = 0, self._now()

    @property
    def is_up(self) -> bool:
        """The server answers."""
        return self._usable.is_set()

    @property
    def is_failing(self) -> bool:
        """It answers, and decodes nothing."""
        return self._failures >= MAX_FAILURES and self._now() - self._failed_at < ILLNESS_S

    async def started(self) -> None:
        """Returns once the server can be used."""
        await self._usable.wait()

    async def decode(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """One hypothesis per window. Raises EngineFailed, EngineLost."""
        return [await self._decode(window) for window in windows]

    async def run(self) -> None:
        """Asks a lost server again until it can be used, and now and then one that has nothing to do, until cancelled.
        Raises ModelError: it never could be used."""
        async with self._client:
            await self._start()
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(self._asked_at + IDLE_PROBE_S):
                        await self._lost.wait()
                if self._lost.is_set():
                    await self._recover()
                elif self._now() >= self._asked_at + IDLE_PROBE_S:
                    await self._look()

    # --- one window ------------------------------------------------------------------------------------------------

    async def _decode(self, window: Window) -> Hypothesis:
        """In a language that is allowed: servers take one or find any, so what they find may be another."""
        allowed = sorted(window.allowed & self.languages)
        asked = window.language or (allowed[0] if len(allowed) == 1 else None)
        if asked is None and len(window.samples) < MIN_SPEECH_S * SAMPLE_RATE:
            asked = window.prior  # what is found in less is often wrong
        heard = await self._transcribe(window, asked)
        if asked or not allowed or heard.language is None or heard.language in allowed:
            return heard
        guesses = [window.prior] if window.prior in allowed else allowed[:MAX_GUESSES]
        return max([await self._transcribe(window, guess) for guess in guesses], key=lambda h: h.avg_logprob)

    async def _transcribe(self, window: Window, language: str | None) -> Hypothesis:
        await self._usable.wait()
        began = self._now()
        seconds = self._remote.timeout * (CAREFUL_CALLS if window.careful else 1)
        try:
            answer = hypothesis(await self._persist(window, language, seconds), window, language)
        except (PassingError, UnusableError, RejectedError) as error:
            problem = f"{self._remote.url}: {error}"
            if window.task == "translate" and not isinstance(error, PassingError):
                raise EngineFailed(problem) from None  # which many servers cannot
            if isinstance(error, RejectedError):
                await self._count(error)
                raise EngineFailed(problem) from None
            if isinstance(error, PassingError) and self._answered_at > began:
                raise EngineFailed(problem) from None  # others were answered: it is this window
            self._lose(problem)
            raise EngineLost(problem) from None
        self._answered_at, self._failures = self._now(), 0
        self._regain()
        return answer

    async def _count(self, error: RejectedError) -> None:
        """One more window that was not taken. If the server refuses them and takes silence, it is their fault."""
        if error.is_refusal and self._failures + 1 >= MAX_FAILURES:
            with suppress(PassingError, UnusableError, RejectedError):
                hypothesis(await self._call(PROBE_WINDOW, None, self._remote.timeout), PROBE_WINDOW, None)
                self._failures = 0
                return
        self._failures, self._failed_at = self._failures + 1, self._now()

    async def _persist(self, window: Window, language: str | None, seconds: float) -> bytes:
        """The body of an answer, after as many tries as there is time for; pauses that the server wants do not count.

        Raises:
            PassingError: none of them was answered.
            UnusableError, RejectedError: one was, like this.
        """
        pause, problem = RETRY_PAUSES_S[0], None
        until, least = self._now() + seconds, min(self._remote.timeout, seconds) / 4
        latest = until + MAX_HOLD_S
        while True:
            if (hold := self._held_until - self._now()) > 0:
                hold += random.uniform(0, RETRY_PAUSES_S[0])  # not all at once
                until = min(until + hold, latest)
                await asyncio.sleep(hold)
            left = until - self._now()
            if problem and left < least:  # it would only be cut off
                raise problem
            try:
                return await self._call(window, language, min(self._remote.timeout, max(left, least)))
            except PassingError as error:
                problem = error
            log.warning("engine.call_failed", url=self._remote.url, problem=str(problem))
            if problem.hold:
                self._held_until = max(self._held_until, self._now() + min(problem.hold, MAX_HOLD_S))
            else:
                await asyncio.sleep(pause * random.uniform(0.5, 1))
                pause = min(2 * pause, RETRY_PAUSES_S[1])

    async def _call(self, window: Window, language: str | None, limit: float) -> bytes:
        """One call within so many seconds; the body of its answer. Raises like `_persist`."""
        self._asked_at = self._now()
        url = f"{self._remote.url}/audio/{'translations' if window.task == 'translate' else 'transcriptions'}"
        request = form(window, self.name, language, self._detail)
        body = bytearray()
        try:
            async with asyncio.timeout(limit), self._client.stream("POST", url, **request) as answer:
                async for piece in answer.aiter_raw():
                    body += piece
                    if len(body) > MAX_ANSWER_BYTES:
                        raise RejectedError(f"an answer of more than {MAX_ANSWER_BYTES} bytes.")
        except TimeoutError:
            raise PassingError(f"no answer within {limit:.3g} s.") from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            reason = str(error) or "it takes too long"
            raise PassingError(f"no connection ({reason}). Is --engine-url right, and the server there?") from None
        except httpx.HTTPError as error:
            raise PassingError(f"the connection broke ({type(error).__name__}).") from None
        if answer.status_code == 200:
            return bytes(body)
        refusal = error_of(answer.status_code, bytes(body), answer.headers.get("retry-after"), datetime.now(UTC))
        if window is PROBE_WINDOW and (message := message_of(bytes(body))):
            refusal.args = (f"{refusal} It says: {self._redact(message)}",)  # nothing was said that it could quote
        raise refusal

    # --- the server ------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        """Finds out how much the server tells. Raises ModelError."""
        for self._detail in Detail:
            try:
                hypothesis(await self._persist(PROBE_WINDOW, None, START_TIMEOUT_S), PROBE_WINDOW, None)
                break
            except (PassingError, UnusableError, RejectedError) as error:
                if not isinstance(error, RejectedError) or self._detail is Detail.TEXT:
                    raise ModelError(f"The engine at {self._remote.url} cannot be used: {error}") from None
        self._usable.set()
        log.info("engine.ready", url=self._remote.url, model=self.name, tells=self._detail.value)

    async def _look(self) -> None:
        """Whether the server still takes silence: else nobody would hear that it is away before somebody speaks."""
        began = self._now()
        try:
            await self._persist(PROBE_WINDOW, None, self._remote.timeout)
        except (PassingError, UnusableError, RejectedError) as error:
            if self._answered_at <= began:
                self._lose(f"{self._remote.url}: {error}")

    async def _recover(self) -> None:
        """Asks until there is an answer to this, or to a call that was still under way."""
        pause = PROBE_PAUSES_S[0]
        while not self._usable.is_set():
            try:
                await self._persist(PROBE_WINDOW, None, self._remote.timeout)
                self._regain()
            except (PassingError, UnusableError, RejectedError) as error:
                log.error("engine.not_regained", url=self._remote.url, problem=str(error), next_try_in=pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, PROBE_PAUSES_S[1])

    def _lose(self, problem: str) -> None:
        if self._usable.is_set():
            log.error("engine.lost", problem=problem)
            self._usable.clear()
            self._lost.set()

    def _regain(self) -> None:
        if not self._usable.is_set():
            self._lost.clear()
            self._usable.set()
            self._on_restart()
            log.info("engine.ready", url=self._remote.url, model=self.name, tells=self._detail.value)
