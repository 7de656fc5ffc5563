"""The bot's link to its transcribers: one choice of servers, one probe and one health for all lanes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog

from bot.audio.replay import Replay
from bot.links.transcriber.conversation import Conversation
from bot.links.transcriber.dialing import FAILURES, code_of, dial, greet, hanging_up, is_final, why
from bot.links.transcriber.lane import Lane, LaneListener
from bot.links.transcriber.servers import Servers
from bot.links.transcriber.states import LinkState, LinkStates, TranscriberHealth
from common.contracts.status import SubCode
from common.errors import EarshotError
from common.redact import redact_url
from common.whisperlive.protocol import Handshake

UNREACHABLE_TIMEOUT_S, PAUSE_S = 7.0, 0.25
"""At the start: seconds for which a server that is away or full is asked again, and between tries."""
START_TIMEOUT_S = 60.0
"""At the start: seconds for which a server that lets us in and shows that it lives may load its model."""
WAITING_TOLD_S = 3.0
"""At the start: seconds after which the log says that nobody is ready yet."""
PREFERENCE_S = 1.0
"""Seconds that a preferred server is waited for once another one is ready."""
PROBE_POLL_S = 1.0
"""Longest sleep of the probe, seconds: lanes may find a server doubtful at any time."""

log = structlog.get_logger(__name__)


class LinkListener(LaneListener, Protocol):
    """Who hears what lanes have to say, and how the transcriber is."""

    def transcriber(self, healthy: bool, detail: str) -> None:
        """The state of all lanes together has changed."""


class TranscriberLink:
    """Makes lanes, and knows what they have in common.

    Args:
        urls: Transcribers in order of preference.
        handshake: Makes the first message of a connection whose clock starts at the given lane sample.
        listener: Called from the lanes' tasks.
        key: API key of the transcribers.
        last_backoff: Longest pause between tries, seconds.
        longest: Seconds after which the servers are known to end a connection; None: learnt when one does.
        holds_back: Whether lanes are to send nothing for now.
        on_sent: Told for how many seconds each piece of speech has waited to be sent.
        on_refused: Told a lane's number and a server's words when it does not take our handshake and no other server is
            left that may.
        sources: URL → where it came from: a configuration key or an environment variable.
    """

    def __init__(
        self,
        urls: Sequence[str],
        handshake: Callable[[int], Handshake],
        listener: LinkListener,
        *,
        key: str | None = None,
        last_backoff: float = 2.0,
        longest: float | None = None,
        holds_back: Callable[[], bool] = lambda: False,
        on_sent: Callable[[float], None] = lambda seconds: None,
        on_refused: Callable[[int, str], None] = lambda lane, detail: None,
        sources: Mapping[str, str] | None = None,
    ) -> None:
        self._servers = Servers(urls, last_backoff, longest)
        self._handshake = handshake
        self._listener = listener
        self._key = key
        self._holds_back, self._on_sent, self._on_refused = holds_back, on_sent, on_refused
        self._sources = sources or {}
        self._states = LinkStates()

    def lane(self, number: int, handshake: Callable[[int], Handshake] | None = None) -> Lane:
        """A new lane, with a handshake of its own if need be; its `run` is to be started."""
        return Lane(
            number,
            self._servers,
            handshake or self._handshake,
            self._listener,
            self._state_changed,
            self._key,
            self._holds_back,
            self._on_sent,
            self._on_refused,
        )

    @property
    def has_answers(self) -> bool:
        """Some transcriber has answered speech."""
        return self._servers.have_answered

    async def open(self) -> None:
        """Finds a transcriber that takes audio, and says which. Raises EarshotError as `probe` does."""
        url = await probe(self._servers, self._handshake(0), self._key)
        log.info("transcriber.ready", server=redact_url(url), source=self._sources.get(url, "whisperLiveUrl"))

    async def run(self) -> None:
        """Looks after servers that failed: for lanes to go back to the preferred one, and for trouble to end that no
        lane is left to see the end of. Until cancelled.
        """
        loop = asyncio.get_running_loop()
        while True:
            choice = (self._servers.choose if self._states.are_stale else self._servers.probe)(loop.time())
            if choice is None or choice.wait > 0:
                await asyncio.sleep(min(choice.wait if choice else PROBE_POLL_S, PROBE_POLL_S))
                continue
            try:
                await _visit(choice.url, self._handshake(0), self._key)
            except (*FAILURES, EarshotError) as error:
                self._servers.failed(choice.url, loop.time(), random.random())
                log.debug("transcriber.still_away", server=redact_url(choice.url), problem=why(error))
            else:
                self._servers.greeted(choice.url, loop.time())
                log.info("transcriber.back", server=redact_url(choice.url))
                self._say(self._states.visited(redact_url(choice.url)))

    def _state_changed(self, lane: int, state: LinkState, detail: str) -> None:
        self._say(self._states.change(lane, state, detail))

    def _say(self, health: TranscriberHealth | None) -> None:
        if health is not None:
            self._listener.transcriber(health.healthy, health.detail)


async def probe(servers: Servers, handshake: Handshake, key: str | None = None) -> str:
    """Finds a transcriber that takes audio and hangs up again. Returns its URL, the most preferred of those ready.

    All are asked at once. One that is away or full has `UNREACHABLE_TIMEOUT_S`; one that lets us in and loads its
    model, `START_TIMEOUT_S`; one that says no is not asked again. Those that were not ready are doubtful from then on.

    Raises:
        EarshotError: TRANSCRIBER_REFUSED, NOT_A_TRANSCRIBER or TRANSCRIBER_UNREACHABLE, naming each URL and what went
            wrong there.
    """
    asking = {url: asyncio.create_task(_until_ready(url, handshake, key)) for url in servers.urls}
    telling = asyncio.get_running_loop().call_later(WAITING_TOLD_S, _tell_waiting, servers.urls)
    try:
        await _first_success(list(asking.values()))
        ready = [url for url, task in asking.items() if task.done() and task.exception() is None]
        if not ready:
            raise _nobody({url: task.exception() for url, task in asking.items()})
        for url in [url for url in servers.urls if url not in ready]:
            servers.failed(url, asyncio.get_running_loop().time(), random.random())
            problem = asking[url].exception() if asking[url].done() else None
            said = why(problem) if problem else "it takes longer than another one"
            log.warning("transcriber.not_ready", server=redact_url(url), problem=said)
        return ready[0]
    finally:
        telling.cancel()
        for task in asking.values():
            task.cancel()
        await asyncio.gather(*asking.values(), return_exceptions=True)


def _tell_waiting(urls: Sequence[str]) -> None:
    detail = f"none is ready yet; one that loads its model is waited for, {START_TIMEOUT_S:g} s at most"
    log.info("transcriber.waiting", servers=[redact_url(url) for url in urls], detail=detail)


async def _first_success(tasks: list[asyncio.Task[None]]) -> None:
    """Returns when the first task has succeeded, or another one and the ones before it had a little longer, or none."""
    waiting = set(tasks)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if any(task.exception() is None for task in done):
            best = min(tasks.index(task) for task in done if task.exception() is None)
            if before := waiting & set(tasks[:best]):
                await asyncio.wait(before, timeout=PREFERENCE_S)
            return


async def _until_ready(url: str, handshake: Handshake, key: str | None) -> None:
    """Asks one server until it is ready; raises what stands against it."""
    loop = asyncio.get_running_loop()
    until = loop.time() + UNREACHABLE_TIMEOUT_S
    while True:
        try:
            return await _visit(url, handshake, key, START_TIMEOUT_S, until)
        except (*FAILURES, EarshotError) as error:
            if is_final(error) or loop.time() + PAUSE_S >= until:
                raise
        await asyncio.sleep(PAUSE_S)


async def _visit(
    url: str, handshake: Handshake, key: str | None, timeout: float = START_TIMEOUT_S, until: float | None = None
) -> None:
    """Connects, waits for ready and hangs up; raises what went wrong. `until`: the loop's time until it is open."""
    async with asyncio.timeout_at(until):
        line = await dial(url, key)
    async with hanging_up(line):
        await greet(line, Conversation(Replay(), handshake), timeout)


def _nobody(errors: Mapping[str, BaseException | None]) -> EarshotError:
    """None of them is ready."""
    codes = {code_of(error) for error in errors.values() if error is not None}
    listed = "; ".join(f"{redact_url(url)}: {why(error)}" for url, error in errors.items() if error is not None)
    code = next(iter(codes)) if len(codes) == 1 else SubCode.TRANSCRIBER_UNREACHABLE
    away = code is SubCode.TRANSCRIBER_UNREACHABLE  # what answers has said itself what is wrong
    advice = " Check `whisperLiveUrl` and that the bot is on its network." if away else ""
    return EarshotError(code, f"No transcriber is ready ({listed}).{advice}")
