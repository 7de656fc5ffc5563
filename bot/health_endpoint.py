"""The health endpoint, over HTTP on loopback, and its probe: `python -m bot.health_endpoint`.

| `GET` | 200 while | else |
|---|---|---|
| `/livez` | the event loop turns, at most `MAX_LOOP_LAG_S` late | 503 |
| `/readyz` | the neighbours have answered, and the lifecycle is not over | 503 |
| `/health` | the event loop turns, and the lifecycle is not over | 503 |
| `/metrics` | always, as Prometheus reads it | |

All but the last have the same JSON body: status, links, the seconds since audio was last received, the loop's lag. A
deaf bot is alive: that it hears nothing is said on the status stream, where somebody can act on it; a restart would
only lose the meeting.

Not the transcriber's HTTP server (`common/http.py`): four routes on loopback need neither uvicorn nor starlette, which
a bot would load for them in every meeting. What both endpoints share is how their bodies are defined.
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
from common.contracts.status import ENDS
from common.problems import ConfigError, Problem, reason, shown

HOST = "127.0.0.1"
PORT_VARIABLE, HOST_VARIABLE = "EARSHOT_HEALTH_PORT", "EARSHOT_HEALTH_HOST"
MAX_LOOP_LAG_S = 1.0
LAG_INTERVAL_S = 0.5
"""Seconds between measurements of the loop's lag."""
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


def answer(request: bytes, health: BotHealth, metrics: Callable[[BotHealth], bytes]) -> bytes:
    """The HTTP/1.1 response (RFC 9112) to the first line of a request."""
    method, _, rest = request.partition(b" ")
    is_over = health.status in ENDS
    match rest.split(b" ")[0] if method == b"GET" else b"":
        case b"/livez":
            well = health.loop_lag < MAX_LOOP_LAG_S
        case b"/readyz":
            well = health.ready and not is_over
        case b"/health":
            well = not is_over
        case b"/metrics":
            return _response("200 OK", "text/plain; version=0.0.4; charset=utf-8", metrics(health))
        case _:
            return _response("404 Not Found", "text/plain", b"")
    status = "200 OK" if well else "503 Service Unavailable"
    return _response(status, "application/json", json.dumps(health.as_json()).encode())


def _response(status: str, kind: str, body: bytes) -> bytes:
    head = (f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close")
    return "\r\n".join((*head, "", "")).encode() + body


class LoopLag:
    """By how much the event loop is late: a timer of its own, or longer if that has not even come.

    Args:
        on_late: Told each time, in seconds, once it turns again.
    """

    def __init__(self, on_late: Callable[[float], None] = lambda seconds: None) -> None:
        self._on_late = on_late
        self._last = 0.0
        self._due: float | None = None

    async def measure(self) -> None:
        """Measures until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            due = self._due = clock() + LAG_INTERVAL_S
            await asyncio.sleep(LAG_INTERVAL_S)
            self._last = max(clock() - due, 0.0)
            self._on_late(self._last)

    def __call__(self) -> float:
        """Seconds."""
        overdue = 0.0 if self._due is None else asyncio.get_running_loop().time() - self._due
        return max(self._last, overdue)


class _Connection(asyncio.Protocol):
    """One request, one answer, without a task."""

    def __init__(self, report: Callable[[], BotHealth], metrics: Callable[[BotHealth], bytes]) -> None:
        self._report = report
        self._metrics = metrics
        self._request = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._deadline = asyncio.get_running_loop().call_later(ANSWER_TIMEOUT_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        self._request += data
        if b"\n" in self._request or len(self._request) > MAX_REQUEST_BYTES:
            self._transport.write(answer(self._request, self._report(), self._metrics))
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()


async def serve_health(
    port: int, report: Callable[[], BotHealth], metrics: Callable[[BotHealth], bytes], host: str = HOST
) -> None:
    """Answers until cancelled; at once back for port 0. A port that is taken costs the endpoint, not the meeting."""
    if not port:
        return
    try:
        server = await asyncio.get_running_loop().create_server(lambda: _Connection(report, metrics), host, port)
    except OSError as error:
        advice = f"set {PORT_VARIABLE} to a free port, or to 0, and {HOST_VARIABLE} to an address of this machine"
        log.warning("health.no_port", host=host, port=port, error=reason(error), advice=advice)
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
