"""The link to the bot's manager: every status is posted in order until it is taken; the end within the shutdown.

A sink of `bot.reporting`. It stores nothing: what a manager cannot be told is in the log, and on the status stream.
"""

from __future__ import annotations

import asyncio
import math
import random as random_module
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import structlog

from bot.answers import answer_of, authorities
from bot.core.callback_plan import CallbackPlan, Step
from common.contracts.callbacks import callback, message_id, signed_headers
from common.contracts.events import HealthEvent, StatusEvent, parse_event
from common.contracts.generations import CallbackTarget, Generation, Verdict, spelled, verdict
from common.contracts.json_values import write
from common.contracts.status import State, SubCode
from common.errors import EarshotError
from common.problems import reason
from common.redact import Redactor, printable, redact_url

OPEN_TIMEOUT_S = 7.0
"""The manager must be reachable within so long at the start."""
TRY_TIMEOUT_S = 5.0
"""For one POST and its answer."""
PAUSES_S = (1.0, 5.0, 25.0)
"""Between tries while the meeting lasts; the last one again and again, since a manager that is restarted comes back."""
FAILING_BUDGET_S = 300.0
"""For a status that a manager answers with an error of its own, which may be about this status alone: then the next one
has its turn. Where nobody answers there is no such limit."""
HURRIED_PAUSES_S = (0.1, 0.2, 0.4)
"""At the end, within what the shutdown gives us."""
UNKNOWN_TRIES = 5
"""A manager writes down which bot it has started while that bot is starting: so often "no such bot" is believed not."""
UNKNOWN_PAUSE_S = 0.3
"""After the first of them, then doubled: 4.5 s together."""
SETTLE_S = 0.6
"""Before the end of a meeting is told, for collectors that poll: the manager counts the transcript at that moment."""
MIN_TRY_S = 0.5
"""... if so much is left for the telling."""
MAX_UNHEALTHY_SUBJECTS = 20
"""Subjects that are told as not working; beyond it tracks are left out, and the few others are not."""
MAX_ANSWER_BYTES = 64 * 1024
"""Of an answer that are read."""
MAX_WORDS_CHARACTERS = 300
"""Of an answer that are logged."""

log = structlog.get_logger(__name__)


class CallbackLink:
    """Tells one manager what becomes of its bot.

    Use: `await open()`, then `run()` as a task for the bot's life; `status` at any time; at the end `await flush(…)`,
    cancel `run`, `await close()`.

    Args:
        target: Where to, and in whose words.
        secret: Signs each callback; v0.12 gets it as a header as well. None: neither.
        secrets: What must not be logged of answers.
        on_change: Called with (up, detail) when the manager stops answering and when it answers again.
        random: Numbers in [0, 1), for the jitter between tries.
    """

    stores = False

    def __init__(
        self,
        target: CallbackTarget,
        secret: str | None = None,
        secrets: Iterable[str] = (),
        *,
        on_change: Callable[[bool, str], None] = lambda up, detail: None,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self._target = target
        self._secret = secret
        self._redact = Redactor(secrets)
        self._on_change = on_change
        self._random = random
        self._plan = CallbackPlan(target.generation)
        self._unhealthy: dict[str, None] = {}  # in the order in which it broke
        self._waiting = asyncio.Event()
        self._serving: asyncio.Timeout | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._end_at: float | None = None  # when the end of a meeting was reported
        self._up = True
        self._client = httpx.AsyncClient(
            timeout=None,
            trust_env=False,  # no proxy of the environment
            follow_redirects=False,  # where a manager's answer leads is not what the operator wrote
            verify=authorities() if target.url.startswith("https:") else False,
            headers={"content-type": "application/json", "accept-encoding": "identity", "user-agent": "earshot"},
        )

    # --- start and end ------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Looks whether the manager can be reached: a bot that nobody hears of is not wanted.

        Raises:
            EarshotError: CALLBACK_UNREACHABLE within `OPEN_TIMEOUT_S`.
        """
        parts = urlsplit(self._target.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        failure: Exception = TimeoutError()
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                while True:
                    try:
                        _, writer = await asyncio.open_connection(parts.hostname, port)
                    except (OSError, UnicodeError) as error:
                        failure = error
                        await asyncio.sleep(0.1 + 0.4 * self._random())
                    else:
                        writer.close()
                        return
        except TimeoutError:
            pass
        why = reason(failure) or f"no answer within {OPEN_TIMEOUT_S:g} s"
        raise EarshotError(
            SubCode.CALLBACK_UNREACHABLE,
            f"the manager at {redact_url(self._target.url)} cannot be reached: {why}. "
            "Check the callback URL, that the manager is running, and that both are on the same network",
        )

    async def close(self) -> None:
        """Closes every connection."""
        await self._client.aclose()

    # --- what the bot says --------------------------------------------------------------------------------------------

    def status(self, event: Mapping[str, Any]) -> bool:
        """Takes a status event; of health what does not work is told with the next status."""
        parsed = parse_event(write(event))
        if isinstance(parsed, HealthEvent):
            self._unhealthy.pop(parsed.subject, None)
            is_one_of_many = parsed.subject.startswith("track:") and len(self._unhealthy) >= MAX_UNHEALTHY_SUBJECTS
            is_news = parsed.subject.startswith("gap:")
            if not parsed.healthy and not is_one_of_many and not is_news:
                self._unhealthy[parsed.subject] = None
        elif isinstance(parsed, StatusEvent):
            self._plan.report(parsed)
            if parsed.stage is State.ACTIVE:
                self._end_at = time.monotonic()
            self._waiting.set()
        return True

    def publish_final(self, payload: str) -> bool:
        """Nothing: managers read no transcripts here."""
        return True

    def publish_live(self, segment_id: str, message: str, final: bool) -> None:
        """Nothing, likewise."""

    # --- the work -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Tells what is reported, but for the end, until `flush` takes over."""
        self._idle.clear()
        try:
            async with asyncio.timeout(None) as self._serving:
                while True:
                    await self._waiting.wait()
                    step = self._plan.next
                    if step is None or step.is_end:
                        self._waiting.clear()
                    else:
                        await self._tell(step, None)
        except TimeoutError:  # it is the end's turn
            pass
        finally:
            self._serving = None
            self._idle.set()

    async def flush(self, timeout: float) -> int:
        """Tells the end, if it was reported, within `timeout` seconds; returns 0, since nothing is stored here."""
        if not self._plan.is_ending:
            return 0
        deadline = time.monotonic() + timeout
        try:
            async with asyncio.timeout(timeout):
                if self._serving is not None:
                    self._serving.reschedule(asyncio.get_running_loop().time())
                await self._idle.wait()
                self._plan.hurry()
                while step := self._plan.next:
                    if step.is_end and self._end_at is not None:
                        await asyncio.sleep(min(self._end_at + SETTLE_S, deadline - MIN_TRY_S) - time.monotonic())
                    await self._tell(step, deadline)
        except TimeoutError:
            log.error("callback.end_not_told", url=redact_url(self._target.url), seconds=round(timeout, 1))
        return 0

    async def _tell(self, step: Step, deadline: float | None) -> None:
        """Posts one status until it is taken or hopeless."""
        generation, event = self._target.generation, step.event
        body = callback(generation, event, step.state, step.was_active, [*self._unhealthy]).encode()
        message = message_id(event, step.state)
        status = spelled(generation, step.state)
        failures = unknown = 0
        may_be_told = False  # an answer was lost: it may have been taken then
        give_up_at = math.inf  # from the first error of the manager's own on
        while True:
            try:
                found, words = await self._post(message, body, status, deadline)
                may_be_told |= found is None
            except httpx.ConnectError as error:
                found, words = None, self._shown(error)
            if found is Verdict.LATER:
                give_up_at = min(give_up_at, time.monotonic() + FAILING_BUDGET_S)
            if found is Verdict.UNKNOWN and may_be_told:
                found = Verdict.TAKEN
            if found is Verdict.UNKNOWN and unknown < UNKNOWN_TRIES - 1:
                pause = UNKNOWN_PAUSE_S * 2.0**unknown
                unknown += 1
            elif found is None or (found is Verdict.LATER and time.monotonic() < give_up_at):
                pauses = PAUSES_S if deadline is None else HURRIED_PAUSES_S
                pause = pauses[min(failures, len(pauses) - 1)] * (0.5 + self._random() / 2)
                failures += 1
                self._changed(False, words)
            else:
                break
            await asyncio.sleep(pause)
        self._changed(True, "")
        self._plan.settled(found is Verdict.TAKEN)
        if found is Verdict.TAKEN:
            log.info("callback.taken", status=status)
        else:
            log.warning("callback.refused", status=status, answer=words, manager=generation)

    async def _post(self, message: str, body: bytes, status: str, deadline: float | None) -> tuple[Verdict | None, str]:
        """One try: what became of it (None: no answer), and the answer or the failure in words.

        Raises:
            httpx.ConnectError: Nobody has heard of it.
        """
        limit = TRY_TIMEOUT_S if deadline is None else max(min(TRY_TIMEOUT_S, deadline - time.monotonic()), 0.0)
        headers = signed_headers(message, body, int(time.time()), self._secret)
        if self._secret is not None and self._target.generation is Generation.V12:
            headers["x-internal-secret"] = self._secret
        try:
            answer = await answer_of(
                *(self._client, "POST", self._target.url),
                seconds=limit,
                most=MAX_ANSWER_BYTES,
                content=body,
                headers=headers,
            )
        except TimeoutError:
            return None, f"no answer within {limit:.1f} s"
        except httpx.ConnectError:
            raise
        except (httpx.HTTPError, OSError, UnicodeError) as error:
            return None, self._shown(error)
        code, read = answer.status_code, answer.content
        words = f"{code} {read[: 8 * MAX_WORDS_CHARACTERS].decode('utf-8', 'replace').strip()}"
        if 300 <= code < 400:
            words = f"{code}: a redirect, which is not followed; give the URL that it leads to"
        found = verdict(self._target.generation, code, read, status)
        return found, printable(self._redact(words), MAX_WORDS_CHARACTERS)

    def _shown(self, error: Exception) -> str:
        return printable(self._redact(str(error)), MAX_WORDS_CHARACTERS) or type(error).__name__

    def _changed(self, up: bool, detail: str) -> None:
        if up == self._up:
            return
        self._up = up
        if not up:
            log.warning("callback.lost", url=redact_url(self._target.url), error=detail)
        self._on_change(up, detail)
