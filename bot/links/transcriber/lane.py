"""A lane's websocket to a transcriber: direct, and what is undecided is sent again after a break."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import structlog
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from bot.audio.replay import Replay
from bot.links.transcriber.conversation import Conversation, LaneDecided, LaneNews, LaneText, Unanswered
from bot.links.transcriber.dialing import (
    FAILURES,
    Broken,
    Dismissed,
    Line,
    dial,
    greet,
    hanging_up,
    raise_if_over,
    why,
)
from bot.links.transcriber.servers import Servers
from bot.links.transcriber.states import LinkState
from common.audio.pcm import SAMPLE_RATE
from common.contracts.status import SubCode
from common.errors import EarshotError
from common.redact import redact_url
from common.whisperlive.protocol import Handshake, ProtocolError, Warned

READY_TIMEOUT_S = 60.0
"""Seconds from the handshake to ready while the server shows that it lives: stock servers load a model for each client,
and begin anew with each connection. As long as the replay buffer holds."""
READY_TIMEOUT_WITH_OTHERS_S = 20.0
"""The same where another server could be used meanwhile."""
CATCH_UP_RATIO = 4
"""× real time, the most a server reads."""
BURST_S = 1.0
"""Seconds of audio that go out at once."""
WATCH_INTERVAL_S = 0.5
"""Seconds between looks at what the server owes us."""
STEADY_S = 5.0
"""Seconds after which a connection with nothing to do has proved itself after trouble, and one that the server ends has
met a time limit."""
MAX_ARRIVALS = 4096
HELD_POLL_S = 0.2
"""Seconds between looks whether we may go on sending."""
NAP_S = 1.0
"""Longest sleep between tries, seconds: meanwhile another server may have come back."""

log = structlog.get_logger(__name__)


class LaneListener(Protocol):
    """Who hears what lanes have to say."""

    def granted(self, lane: int, extensions: frozenset[str]) -> None:
        """A server takes the lane's audio now, and grants these extensions: none if it is a stock server.

        Once per connection, before any text of it; the next server may grant others.
        """

    def text(self, lane: int, text: LaneText) -> None:
        """A segment came."""

    def decided(self, lane: int, sample: int) -> None:
        """Everything on the lane before `sample` is decided."""


class _Mute(Broken):
    """It took speech and did not answer."""


@dataclass(slots=True)
class _Pace:
    """At most `CATCH_UP_RATIO` × real time with bursts of one second: a replay must not drown other lanes."""

    free_at: float = field(default=0.0)

    def delay(self, samples: int, now: float) -> float:
        self.free_at = max(self.free_at, now - BURST_S / CATCH_UP_RATIO) + samples / SAMPLE_RATE / CATCH_UP_RATIO
        return self.free_at - now


class Lane:
    """Audio in at any time, text out through the listener; survives a transcriber that goes away and comes back.

    Args:
        number: The lane's number.
        servers: The bot's transcribers; all its lanes share what is known of them.
        handshake: Makes the first message of a connection whose clock starts at the given lane sample.
        listener: Called from this lane's task.
        report: Told the lane's number, the state of its link and a detail, whenever the state changes.
        key: API key of the transcribers.
        holds_back: Whether nothing is to be sent for now: what would be answered has no room.
        on_sent: Told for how many seconds a piece of speech has waited to be sent, the first time that it is.
        on_refused: Told the lane's number and a server's words when it does not take our handshake and no other server
            is left that may.
    """

    def __init__(
        self,
        number: int,
        servers: Servers,
        handshake: Callable[[int], Handshake],
        listener: LaneListener,
        report: Callable[[int, LinkState, str], None],
        key: str | None = None,
        holds_back: Callable[[], bool] = lambda: False,
        on_sent: Callable[[float], None] = lambda seconds: None,
        on_refused: Callable[[int, str], None] = lambda lane, detail: None,
    ) -> None:
        self.number = number
        self._servers = servers
        self._handshake = handshake
        self._listener = listener
        self._report = report
        self._key = key
        self._holds_back = holds_back
        self._on_sent = on_sent
        self._on_refused = on_refused
        # One past the last sample of each piece that was never sent, and when it came; what is lost of it is lost to a
        # statistic.
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=MAX_ARRIVALS)
        self._replay = Replay()
        self._fresh = asyncio.Event()  # there may be something to send, or we are to close
        self._settled = asyncio.Event()
        self._settled.set()
        self._closing = False
        self._eager = False  # connect although there is nothing to send
        self._state: LinkState | None = None
        self._clock = asyncio.get_running_loop().time
        # of the connection:
        self._url = ""
        self._since = 0.0  # when it was ready

    def append(self, pcm: NDArray[np.int16]) -> None:
        """Speech to send: int16 mono 16 kHz, shape (n,). Never blocks; beyond 60 s the oldest is dropped."""
        self._replay.append(pcm)
        self._arrivals.append((self._replay.start + len(self._replay), self._clock()))
        self._settled.clear()
        self._fresh.set()

    def drop(self, sample: int) -> None:
        """Gives up what is kept from before this lane sample."""
        self._replay.drop(sample)
        self._fresh.set()

    def end_utterance(self) -> None:
        """The utterance is complete: its final may come at once."""
        self._replay.mark_end()
        self._fresh.set()

    def close(self) -> None:
        """No more audio: `run` returns once everything is decided."""
        self._closing = True
        self._fresh.set()

    @property
    def undecided(self) -> int:
        """Samples that the transcriber has not decided about."""
        return len(self._replay)

    async def settled(self) -> None:
        """Returns when the transcriber has decided about all audio so far."""
        await self._settled.wait()

    async def run(self) -> None:
        """Connects when there is audio and serves the lane until it is closed and settled."""
        try:
            while not self._is_done:
                self._fresh.clear()
                if not len(self._replay) and not self._eager:
                    await self._fresh.wait()
                    continue
                choice = self._servers.choose(self._clock(), self.number)
                if choice.wait > 0:
                    await asyncio.sleep(min(choice.wait, NAP_S))
                else:
                    await self._attempt(choice.url)
        finally:
            self._report(self.number, LinkState.CLOSED, "")

    @property
    def _is_done(self) -> bool:
        return self._closing and not len(self._replay)

    # --- one connection ---------------------------------------------------------------------------------------------

    async def _attempt(self, url: str) -> None:
        """One connection, from dialling to whatever ends it."""
        self._url, self._since = url, self._clock()
        self._eager = True  # until all is said, there should be a connection
        try:
            line = await dial(url, self._key)
            async with hanging_up(line):
                session = Conversation(self._replay, self._handshake(self._replay.start))
                is_alone = self._servers.is_alone(url)
                await greet(line, session, READY_TIMEOUT_S if is_alone else READY_TIMEOUT_WITH_OTHERS_S)
                self._greeted(session)
                await self._serve(line, session)
        except (*FAILURES, EarshotError) as error:
            self._lost(error)

    def _greeted(self, session: Conversation) -> None:
        self._since = self._clock()
        log.info("transcriber.connected", lane=self.number, server=redact_url(self._url))
        self._listener.granted(self.number, session.granted)
        if self._state is None:
            self._change(LinkState.UP, "")

    def _lost(self, error: BaseException) -> None:
        """What the end of a connection says of its server, and of our state."""
        lasted = self._clock() - self._since
        if isinstance(error, Dismissed) and lasted >= STEADY_S:
            log.info("transcriber.ended", lane=self.number, server=redact_url(self._url), seconds=round(lasted))
            self._servers.dismissed(self._url, self._clock(), lasted)
            return
        if _is_displaced(error) and not len(self._replay):
            self._eager = False
            if self._state is not LinkState.UP:  # nobody here will see the end of that trouble
                self._state = None
                self._report(self.number, LinkState.CLOSED, "")
            return
        if isinstance(error, ProtocolError):  # its text is lost, and is asked for again with the audio
            log.warning("transcriber.malformed", lane=self.number, server=redact_url(self._url), error=str(error))
        is_mute = isinstance(error, _Mute)
        self._servers.failed(self._url, self._clock(), random.random(), mute=is_mute)
        self._change(LinkState.MUTE if is_mute else LinkState.LOST, why(error))
        if isinstance(error, EarshotError) and error.code is SubCode.TRANSCRIBER_REFUSED and self._servers.are_doubtful:
            self._on_refused(self.number, why(error))

    def _change(self, state: LinkState, detail: str) -> None:
        if state is not self._state:
            self._state = state
            server = redact_url(self._url)
            self._report(self.number, state, f"{server}: {detail}" if detail else server)

    async def _serve(self, line: Line, session: Conversation) -> None:
        """Both directions, until the lane is closed and settled or another connection should go on."""
        work = self._read(line, session), self._write(line, session), self._watch(line, session)
        tasks = [asyncio.create_task(part) for part in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, line: Line, session: Conversation) -> None:
        while not self._is_done:
            message = await line.recv()
            for news in session.receive(message, self._clock()):
                self._hear(news)

    async def _write(self, line: Line, session: Conversation) -> None:
        pace = _Pace()
        while not self._is_done:
            if self._holds_back():
                await asyncio.sleep(HELD_POLL_S)
                continue
            self._fresh.clear()
            message = session.next_message(self._clock())
            if message is None:
                await self._fresh.wait()
                continue
            await line.send(message[0])
            while self._arrivals and self._arrivals[0][0] <= session.sent_until:
                self._on_sent(self._clock() - self._arrivals.popleft()[1])
            if (delay := pace.delay(message[1], self._clock())) > 0:
                await asyncio.sleep(delay)

    async def _watch(self, line: Line, session: Conversation) -> None:
        """Trusts no silence; returns when another connection should go on."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            line.check()
            if self._holds_back():
                session.held_back(self._clock())
            patience = self._servers.patience(self._url, session.least_patience)
            for news in session.due(self._clock(), patience):
                self._hear(news)
            if session.is_between_utterances:
                lasted = self._clock() - self._since
                if lasted >= STEADY_S:
                    self._change(LinkState.UP, "")
                limit = self._servers.time_limit(self._url)
                is_old = limit is not None and lasted >= limit and session.was_used
                if is_old or self._servers.is_outdone(self._url, self.number):
                    log.info("transcriber.renewed", lane=self.number, server=redact_url(self._url))
                    return

    def _hear(self, news: LaneNews) -> None:
        raise_if_over(news)
        match news:
            case LaneText():
                self._change(LinkState.UP, "")
                self._listener.text(self.number, news)
            case LaneDecided(sample):
                if not news.assumed:
                    self._servers.progressed(self._url, self._since, news.lag)
                    self._change(LinkState.UP, "")
                if not len(self._replay):
                    self._settled.set()
                self._fresh.set()
                self._listener.decided(self.number, sample)
            case Unanswered():
                raise _Mute("speech but no text: what was said got no answer, though the connection is open")
            case Warned(message):
                log.warning("transcriber.warned", lane=self.number, message=message)


def _is_displaced(error: BaseException) -> bool:
    """A full server gave the place of a lane on which nobody speaks to somebody else."""
    return (
        isinstance(error, ConnectionClosed) and error.rcvd is not None and error.rcvd.code == CloseCode.TRY_AGAIN_LATER
    )
