"""A lane's websocket to a transcriber: direct, and what is undecided is sent again after a break."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import structlog
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException

from bot.audio.replay import Replay
from bot.links.transcriber.conversation import Conversation, LaneDecided, LaneText
from common.audio.pcm import SAMPLE_RATE
from common.contracts.status import SubCode
from common.errors import EarshotError
from common.redact import redact_url
from common.whisperlive.protocol import (
    MAX_MESSAGE_BYTES,
    Disconnected,
    Handshake,
    ProtocolError,
    Ready,
    Refused,
    Wait,
    Warned,
)

OPEN_TIMEOUT_S = 3.0  # seconds to connect
READY_TIMEOUT_S = 5.0  # seconds from the handshake to ready
PING_INTERVAL_S = 5.0  # seconds between pings, and until a missing pong counts as a break
CATCH_UP_RATIO = 4  # × real time, the most a server reads
BURST_S = 1.0  # seconds of audio that go out at once
PROBE_TIMEOUT_S, PROBE_PAUSE_S = 7.0, 0.25
MIN_BACKOFF_S, MAX_BACKOFF_S = 0.1, 2.0  # seconds

log = structlog.get_logger(__name__)


class LaneListener(Protocol):
    """Who hears what lanes have to say."""

    def text(self, lane: int, text: LaneText) -> None:
        """A segment came."""

    def decided(self, lane: int, sample: int) -> None:
        """Everything on the lane before `sample` is decided."""

    def link(self, up: bool, detail: str) -> None:
        """A connection to a transcriber was made or lost."""


class _Broken(Exception):
    """This connection is over and another one may be tried."""


@dataclass(slots=True)
class _Pace:
    """At most `CATCH_UP_RATIO` × real time with bursts of one second: a replay must not drown other lanes."""

    free_at: float = field(default=0.0)

    def delay(self, samples: int, now: float) -> float:
        self.free_at = max(self.free_at, now - BURST_S / CATCH_UP_RATIO) + samples / SAMPLE_RATE / CATCH_UP_RATIO
        return self.free_at - now


FAILURES = (OSError, EOFError, UnicodeError, WebSocketException, ProtocolError, _Broken)
"""What ends a connection without ending the lane; timeouts are OSErrors."""


async def dial(url: str, key: str | None = None) -> ClientConnection:
    """Opens the websocket, never through a proxy: a proxy that turns audio into zeros is why Earshot exists.

    Args:
        url: ws:// or wss://.
        key: Sent in a header, where servers and proxies do not log it.

    Raises:
        OSError, TimeoutError, websockets.exceptions.WebSocketException.
    """
    return await connect(
        url,
        additional_headers={"Authorization": f"Bearer {key}"} if key else None,
        proxy=None,
        compression=None,
        open_timeout=OPEN_TIMEOUT_S,
        close_timeout=1,
        ping_interval=PING_INTERVAL_S,
        ping_timeout=PING_INTERVAL_S,
        max_size=MAX_MESSAGE_BYTES,
    )


async def greet(socket: ClientConnection, session: Conversation) -> None:
    """Sends the handshake and waits for ready.

    Raises:
        EarshotError: TRANSCRIBER_REFUSED, with the server's words.
        _Broken: the server is full or closed.
        ProtocolError: the server does not speak the protocol.
        TimeoutError: no ready within 5 s.
    """
    await socket.send(session.hello())
    async with asyncio.timeout(READY_TIMEOUT_S):
        while not session.ready:
            for news in session.receive(await socket.recv()):
                _raise_if_over(news)


@contextlib.contextmanager
def _aborting(socket: ClientConnection) -> Iterator[None]:
    """When we are cancelled there is no time for a farewell: a frozen peer would be waited for."""
    try:
        yield
    except asyncio.CancelledError:
        socket.transport.abort()
        raise


def _raise_if_over(news: object) -> None:
    match news:
        case Wait(minutes):
            raise _Broken(f"the transcriber is full and says to wait {minutes:g} min")
        case Refused(message):
            raise EarshotError(SubCode.TRANSCRIBER_REFUSED, f"the transcriber refused us: {message}")
        case Disconnected():
            raise _Broken("the transcriber ended the connection")


async def probe(urls: tuple[str, ...], handshake: Handshake, key: str | None = None) -> str:
    """Finds a transcriber that takes audio, in the order given, and hangs up again. Returns its URL.

    One that is still starting (loading its model) or full has `PROBE_TIMEOUT_S`; one that says no is not asked again.

    Raises:
        EarshotError: TRANSCRIBER_REFUSED or TRANSCRIBER_UNREACHABLE, naming each URL and what went wrong there.
    """
    problems: dict[str, str] = {}
    refused: set[str] = set()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            while len(refused) < len(urls):
                for url in (url for url in urls if url not in refused):
                    problems.setdefault(url, "no answer in time")
                    try:
                        async with await dial(url, key) as socket:
                            await greet(socket, Conversation(Replay(), handshake))
                            return url
                    except EarshotError as error:
                        problems[url] = str(error)
                        refused.add(url)
                    except FAILURES as error:
                        problems[url] = _why(error)
                        if _is_final(error):
                            refused.add(url)
                await asyncio.sleep(PROBE_PAUSE_S)
    listed = "; ".join(f"{redact_url(url)}: {problem}" for url, problem in problems.items())
    code = SubCode.TRANSCRIBER_REFUSED if len(refused) == len(urls) else SubCode.TRANSCRIBER_UNREACHABLE
    raise EarshotError(
        code, f"No transcriber is ready ({listed}). Check `whisperLiveUrl` and that the bot is on its network."
    )


def _is_final(error: BaseException) -> bool:
    """Asking again would not help: a server that is full or starting says 429 or 5xx."""
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        return status < 500 and status != 429
    return isinstance(error, InvalidURI | UnicodeError | ssl.SSLCertVerificationError)


def _why(error: BaseException) -> str:
    match error:
        case TimeoutError():
            return "no answer in time"
        case InvalidStatus() if error.response.status_code == 401:
            return "it wants an API key, and not the one it got: set `whisperLiveApiKey` (HTTP 401)"
        case InvalidStatus() if error.response.status_code == 503:
            return "it has no room (HTTP 503)"
        case InvalidStatus():
            return f"HTTP {error.response.status_code} instead of a websocket"
        case InvalidURI() | UnicodeError():
            return "not a ws:// or wss:// URL"
        case InvalidHandshake():
            return "answered, but not as a websocket server"
        case ssl.SSLCertVerificationError():
            return (
                f"its certificate is not trusted ({error.verify_message}): SSL_CERT_FILE may name a private authority's"
            )
        case ConnectionRefusedError():
            return "connection refused"
        case OSError() if "Name or service" in str(error) or "getaddrinfo" in str(error) or error.errno in (-2, -3):
            return "host name not known (on Docker's default bridge service names do not resolve: use one network)"
        case OSError():
            return error.strerror or "connection failed"
    return str(error) or type(error).__name__


class Lane:
    """Audio in at any time, text out through the listener; survives a transcriber that goes away and comes back.

    Args:
        number: The lane's number.
        urls: Transcribers in order of preference.
        handshake: Makes the first message of a connection whose clock starts at the given lane sample.
        listener: Called from this lane's task.
        last_backoff: Longest pause between tries, seconds.
        key: API key of the transcribers.
        holds_back: Whether nothing is to be sent for now: what would be answered has no room.
    """

    def __init__(
        self,
        number: int,
        urls: tuple[str, ...],
        handshake: Callable[[int], Handshake],
        listener: LaneListener,
        last_backoff: float = MAX_BACKOFF_S,
        key: str | None = None,
        holds_back: Callable[[], bool] = lambda: False,
    ) -> None:
        self.number = number
        self._urls = urls
        self._handshake = handshake
        self._listener = listener
        self._last_backoff = last_backoff
        self._key = key
        self._holds_back = holds_back
        self._replay = Replay()
        self._fresh = asyncio.Event()  # audio or an end was appended, or we are to close
        self._settled = asyncio.Event()
        self._settled.set()
        self._closing = False

    def append(self, pcm: NDArray[np.int16]) -> None:
        """Speech to send: int16 mono 16 kHz, shape (n,). Never blocks; beyond 60 s the oldest is dropped and logged."""
        before = self._replay.dropped
        self._replay.append(pcm)
        if self._replay.dropped > before:
            log.warning("lane.audio_dropped", lane=self.number, seconds=round(self._replay.dropped / SAMPLE_RATE, 1))
        self._settled.clear()
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
        attempt = 0
        while not (self._closing and not len(self._replay)):
            if not len(self._replay) and not attempt:
                await self._wait_for_audio()
                continue
            url = self._urls[attempt % len(self._urls)]
            try:
                async with await dial(url, self._key) as socket:
                    with _aborting(socket):
                        session = Conversation(self._replay, self._handshake(self._replay.start))
                        await greet(socket, session)
                        self._listener.link(True, redact_url(url))
                        attempt = 0
                        await self._serve(socket, session)
                        return
            except (*FAILURES, EarshotError) as error:
                if isinstance(error, ProtocolError):  # its text is lost, and is asked for again with the audio
                    log.warning("transcriber.malformed", lane=self.number, server=redact_url(url), error=str(error))
                self._listener.link(False, f"{redact_url(url)}: {_why(error)}")
                attempt += 1
                if attempt % len(self._urls) == 0:  # each of them failed: wait before the next round, with full jitter
                    rounds = attempt // len(self._urls)
                    await asyncio.sleep(random.uniform(0, min(MIN_BACKOFF_S * 2**rounds, self._last_backoff)))

    async def _wait_for_audio(self) -> None:
        self._fresh.clear()
        if not len(self._replay) and not self._closing:
            await self._fresh.wait()

    async def _serve(self, socket: ClientConnection, session: Conversation) -> None:
        """Both directions until the lane is closed and settled."""
        reader = asyncio.create_task(self._read(socket, session))
        writer = asyncio.create_task(self._write(socket, session))
        try:
            done, _ = await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (reader, writer):
                task.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)

    async def _read(self, socket: ClientConnection, session: Conversation) -> None:
        async for message in socket:
            for news in session.receive(message):
                _raise_if_over(news)
                self._hear(news)
            if self._closing and not len(self._replay):
                return
        raise _Broken("the transcriber closed the connection")

    async def _write(self, socket: ClientConnection, session: Conversation) -> None:
        clock, pace = asyncio.get_running_loop().time, _Pace()
        while not (self._closing and not len(self._replay)):
            self._fresh.clear()
            for news in session.due(clock()):
                self._hear(news)
            message = None if self._holds_back() else session.next_message(clock())
            if message is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await self._fresh.wait()
                continue
            await socket.send(message[0])
            if (delay := pace.delay(message[1], clock())) > 0:
                await asyncio.sleep(delay)

    def _hear(self, news: object) -> None:
        match news:
            case LaneText():
                self._listener.text(self.number, news)
            case LaneDecided(sample):
                if not len(self._replay):
                    self._settled.set()
                self._listener.decided(self.number, sample)
            case Warned(message):
                log.warning("transcriber.warned", lane=self.number, message=message)
            case Ready():
                pass
