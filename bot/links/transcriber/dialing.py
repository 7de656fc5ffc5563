"""Dialing of a transcriber: its websocket is opened, directly, and what went wrong is said in words that help."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException
from websockets.frames import Close

from bot.links.transcriber.conversation import Conversation
from common.contracts.status import SubCode
from common.errors import EarshotError
from common.whisperlive.protocol import MAX_MESSAGE_BYTES, Disconnected, ProtocolError, Refused, Wait

OPEN_TIMEOUT_S = 3.0
"""Seconds to connect."""
PING_INTERVAL_S = 5.0
"""Seconds between our pings."""
SILENT_LINE_S = 10.0
"""Seconds without a single byte, pongs and the server's own pings included, after which nobody is there."""
CLOSE_TIMEOUT_S = 2.0
"""Seconds for a goodbye, all in all."""
TRANSCRIBER_ITSELF = "`whisperLiveUrl` must name the transcriber itself (ws://host:9090)"
EXPLAINING_KEYS = frozenset({"status", "message", "error", "detail", "reason", "code", "type"})
"""Of a message before ready: what is shown of it."""
SEND_BUFFER_BYTES = 128 * 1024
"""Of the kernel, which doubles it: what is in it counts as sent, so it must not hold a minute of audio."""


class Broken(Exception):
    """This connection is over and another one may be tried."""


class Dismissed(Broken):
    """The server ended the connection with a word, as those do that limit its time."""


FAILURES = (OSError, EOFError, UnicodeError, WebSocketException, ProtocolError, Broken)
"""What ends a connection without ending the lane; timeouts are OSErrors."""


class Line(ClientConnection):
    """A connection that knows when anything came last.

    A server that holds back does not read, and so answers no pings; whatever it sends shows that it lives.
    """

    heard_at = 0.0
    """On the loop's clock."""

    def data_received(self, data: bytes) -> None:
        """Bytes came, of whatever kind."""
        self.heard_at = self.loop.time()
        super().data_received(data)

    def check(self) -> None:
        """Raises Broken when nothing has come for too long, not even an answer to pings."""
        if self.loop.time() - self.heard_at >= SILENT_LINE_S:
            raise Broken(f"no sign of life for {SILENT_LINE_S:g} s")


class _Direct(connect):
    """No redirect is followed: audio and key go to the server that was named, or nowhere."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Takes every answer as it is."""
        return exc


async def dial(url: str, key: str | None = None) -> Line:
    """Opens the websocket, never through a proxy: a proxy that turns audio into zeros is why Earshot exists.

    Args:
        url: ws:// or wss://.
        key: Sent in a header, where servers and proxies do not log it.

    Raises:
        OSError, TimeoutError, websockets.exceptions.WebSocketException.
    """
    line = await _Direct(
        url,
        additional_headers={"Authorization": f"Bearer {key}"} if key else None,
        proxy=None,
        compression=None,
        open_timeout=OPEN_TIMEOUT_S,
        close_timeout=1,
        ping_interval=PING_INTERVAL_S,
        ping_timeout=None,  # `Line.check` judges instead
        max_size=MAX_MESSAGE_BYTES,
        create_connection=Line,
    )
    assert isinstance(line, Line)
    if (handle := line.transport.get_extra_info("socket")) is not None:
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    return line


async def greet(line: Line, session: Conversation, timeout: float) -> None:
    """Sends the handshake and waits for ready, as long as the server shows that it lives: it may be loading a model.

    Args:
        line: Just opened.
        session: Its conversation.
        timeout: Most seconds until ready.

    Raises:
        EarshotError: TRANSCRIBER_REFUSED, with the server's words; NOT_A_TRANSCRIBER: ready never came.
        Broken: the server is full, has closed, or has gone silent.
        ProtocolError: the server does not speak the protocol.
    """
    clock = asyncio.get_running_loop().time
    said, is_strange, until = "", False, clock() + timeout
    await line.send(session.hello())
    while not session.ready:
        line.check()
        if (left := until - clock()) <= 0:
            raise _stranger(f"a websocket answers, but never says that it is ready ({timeout:g} s)", said)
        try:
            async with asyncio.timeout(min(left, 1.0)):
                message = await line.recv()
        except TimeoutError:
            continue
        except ConnectionClosed as closed:
            problem = "it closed before it was ready" + _goodbye(closed.rcvd)
            raise (_stranger(problem, said) if is_strange else Broken(problem)) from None
        news = list(session.receive(message, clock()))
        for one in news:
            raise_if_over(one)
        said, is_strange = _shown(_explaining(message)), not news


@contextlib.asynccontextmanager
async def hanging_up(line: Line) -> AsyncIterator[None]:
    """Closes in order after the block, within 2 s: the library's own close can hang on a full queue. After an exception
    there is no farewell: a frozen peer would be waited for."""
    try:
        yield
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await line.close()
    finally:
        line.transport.abort()


def raise_if_over(news: object) -> None:
    """Raises what a server's last word means."""
    match news:
        case Wait(minutes):
            raise Broken(f"the transcriber is full and says to wait {minutes:g} min")
        case Refused(message):
            raise EarshotError(SubCode.TRANSCRIBER_REFUSED, f"the transcriber refused us: {message}")
        case Disconnected():
            raise Dismissed("the transcriber ended the connection")


def is_final(error: BaseException) -> bool:
    """Asking again would not help: a server that is full or starting says 429 or 5xx."""
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        return status < 500 and status != 429
    return isinstance(error, EarshotError | InvalidURI | UnicodeError | ssl.SSLCertVerificationError)


def code_of(error: BaseException) -> SubCode:
    """What kind of failure it is, for the end of a bot that found no transcriber."""
    match error:
        case EarshotError():
            return error.code
        case InvalidStatus() if error.response.status_code in (401, 403):
            return SubCode.TRANSCRIBER_REFUSED
        case InvalidStatus() if is_final(error):
            return SubCode.NOT_A_TRANSCRIBER
        case InvalidURI() | UnicodeError() | ssl.SSLCertVerificationError():
            return SubCode.TRANSCRIBER_REFUSED
        case InvalidStatus():
            return SubCode.TRANSCRIBER_UNREACHABLE
        case InvalidHandshake() | ProtocolError():
            return SubCode.NOT_A_TRANSCRIBER
    return SubCode.TRANSCRIBER_UNREACHABLE


def why(error: BaseException) -> str:
    """What went wrong, for people."""
    match error:
        case TimeoutError():
            return "no answer in time"
        case InvalidStatus():
            return _why_status(error.response.status_code, bytes(error.response.body or b""))
        case InvalidURI() | UnicodeError():
            return "not a ws:// or wss:// URL"
        case InvalidHandshake():
            return f"answered, but not as a websocket server: {TRANSCRIBER_ITSELF}"
        case ProtocolError():
            return f"it does not speak the WhisperLive protocol: {error}"
        case ConnectionClosed():
            return "the transcriber closed the connection" + _goodbye(error.rcvd)
        case ssl.SSLCertVerificationError():
            return (
                f"its certificate is not trusted ({error.verify_message}): SSL_CERT_FILE may name a private authority's"
            )
        case ConnectionRefusedError():
            return "connection refused"
        case OSError() if "Name or service" in str(error) or "getaddrinfo" in str(error) or error.errno in (-2, -3):
            return "host name not known (on Docker's default bridge service names do not resolve: use one network)"
        case OSError():
            return error.strerror or _of_several(str(error))
    return str(error) or type(error).__name__


def _of_several(text: str) -> str:
    """The first of the reasons that asyncio gives together where a name has several addresses, as `localhost` does."""
    number = re.search(r"\[Errno (\d+)\]", text)
    return os.strerror(int(number[1])).lower() if number else "connection failed"


def _stranger(problem: str, said: str) -> EarshotError:
    """It is a websocket, and no transcriber as it seems."""
    last = f"; the last it said was {said}" if said else ""
    advice = f"Is it a bridge, or another service? {TRANSCRIBER_ITSELF}"
    return EarshotError(SubCode.NOT_A_TRANSCRIBER, f"{problem}{last}. {advice}")


def _why_status(status: int, body: bytes) -> str:
    match status:
        case 401 | 403:
            return f"it wants an API key, and not the one it got: set `whisperLiveApiKey` (HTTP {status})"
        case 429:
            return "it is asked too often (HTTP 429)"
        case 503:
            return "it has no room (HTTP 503)"
        case _ if status >= 500:
            return f"HTTP {status} instead of a websocket"
    said = f", {_shown(body)}" if body else ""
    return f"HTTP {status} instead of a websocket{said}: an HTTP server or a bridge answers there; {TRANSCRIBER_ITSELF}"


def _goodbye(close: Close | None) -> str:
    if close is None:
        return " without a goodbye"
    return f" (code {close.code:d}{', ' if close.reason else ''}{close.reason[:80]})"


def _explaining(message: str | bytes) -> str | bytes:
    """What a stranger said, of a JSON object only what may explain it: the rest may be what somebody said elsewhere."""
    try:
        said = json.loads(message)
    except (ValueError, RecursionError):
        return message
    if not isinstance(said, dict):
        return f"a JSON {type(said).__name__}"
    return json.dumps({key: value if key in EXPLAINING_KEYS else "..." for key, value in said.items()})


def _shown(message: str | bytes) -> str:
    """The start of it, fit for a line."""
    shown = ascii(message.decode("utf-8", "replace") if isinstance(message, bytes) else message)
    return shown if len(shown) <= 80 else shown[:77] + "...'"
