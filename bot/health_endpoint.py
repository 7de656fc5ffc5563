"""The health endpoint, over HTTP on loopback, and its probe: `python -m bot.health_endpoint`.

`GET /health` answers 200 while the event loop turns and the lifecycle is not over, else 503, with a JSON body of
status, links and the seconds since audio was last received. A deaf bot is alive: that it hears nothing is said on the
status stream, where somebody can act on it; a restart would only lose the meeting.

Not the transcriber's HTTP server (`common/http.py`): one route on loopback needs neither uvicorn nor starlette, which
a bot would load for it in every meeting. What both endpoints share is how their bodies are defined.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import sys
from collections.abc import Callable, Mapping

import structlog

from common.contracts.health import BotHealth, parse_bot_health
from common.contracts.status import State
from common.problems import ConfigError, Problem, reason, shown

HOST = "127.0.0.1"
PORT_VARIABLE = "EARSHOT_HEALTH_PORT"
ANSWER_TIMEOUT_S = 2.0
"""Seconds a client has to ask, and the probe waits for an answer."""
MAX_REQUEST_BYTES = 4096
"""Longest request line; a longer one is answered as it is."""

log = structlog.get_logger(__name__)


def health_port(environment: Mapping[str, str]) -> int:
    """The port to serve on, from the environment; 0: none. Raises ConfigError."""
    text = environment.get(PORT_VARIABLE, "0")
    if not text.isdecimal() or int(text) > 65_535:
        raise ConfigError([Problem(PORT_VARIABLE, shown(text), "a port, or 0 for none")])
    return int(text)


def answer(request: bytes, health: BotHealth) -> bytes:
    """The HTTP/1.1 response (RFC 9112) to the first line of a request."""
    if request.split(b" ")[:2] != [b"GET", b"/health"]:
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    body = json.dumps(health.as_json()).encode()
    over = health.status in (State.COMPLETED, State.FAILED)
    line = "503 Service Unavailable" if over else "200 OK"
    head = (f"HTTP/1.1 {line}", "Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close")
    return "\r\n".join((*head, "", "")).encode() + body


class _Connection(asyncio.Protocol):
    """One request, one answer, without a task."""

    def __init__(self, report: Callable[[], BotHealth]) -> None:
        self._report = report
        self._request = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._deadline = asyncio.get_running_loop().call_later(ANSWER_TIMEOUT_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        self._request += data
        if b"\n" in self._request or len(self._request) > MAX_REQUEST_BYTES:
            self._transport.write(answer(self._request, self._report()))
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()


async def serve_health(port: int, report: Callable[[], BotHealth]) -> None:
    """Answers until cancelled; at once back for port 0. A port that is taken costs the endpoint, not the meeting."""
    if not port:
        return
    try:
        server = await asyncio.get_running_loop().create_server(lambda: _Connection(report), HOST, port)
    except OSError as error:
        advice = f"set {PORT_VARIABLE} to a free port, or to 0"
        log.warning("health.no_port", port=port, error=reason(error), advice=advice)
        return
    async with server:
        await server.serve_forever()


def main() -> int:
    """The probe: 0 when the bot of this container is well, else 1 and the reason on standard output."""
    try:
        connection = http.client.HTTPConnection(HOST, health_port(os.environ), timeout=ANSWER_TIMEOUT_S)
    except ConfigError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    try:
        connection.request("GET", "/health")
        response = connection.getresponse()
        body = response.read()
        parse_bot_health(body)
    except (OSError, http.client.HTTPException) as error:
        sys.stdout.write(f"no answer from the bot: {error}\n")
        return 1
    except ValueError as error:
        sys.stdout.write(f"something that is no bot answers (HTTP {response.status}): {error}\n")
        return 1
    finally:
        connection.close()
    sys.stdout.write(f"{body.decode()}\n")
    return 0 if response.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
