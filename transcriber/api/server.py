"""Health, readiness and metrics over HTTP, and the server that also carries the routes for recordings."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from common.contracts.health import TranscriberHealth
from transcriber.metrics import Metrics
from transcriber.websocket.server import ACCEPTED, BACKLOG

Phase = Literal["starting", "serving", "draining"]

STUCK = 10.0
"""Seconds that a pass may be due before /health is red."""
DOWN = 30.0
"""Seconds that replacing the engine may take before /health is red."""
PATIENCE = 10.0
"""Seconds within which a connection must have sent the head of its first request, and after an answer of the next."""


@dataclass(frozen=True, slots=True)
class Status:
    """What the process says about itself. Ages and waits in seconds."""

    model: str
    max_clients: int
    clients: int = 0
    phase: Phase = "starting"
    last_decode: float | None = None
    """Age of the last result that the engine gave."""
    waiting: int = 0
    """Streams with a pass due."""
    oldest_wait: float = 0.0
    """How long the oldest live pass that is not done has been due."""
    down: float | None = None
    """For how long the engine has been gone; None: it is there."""
    restarts: int = 0
    """Engines replaced so far."""
    level: int = 0
    """Of load shedding; 0: none."""

    @property
    def is_healthy(self) -> bool:
        """Passes come back, or there is nothing to do."""
        return self.oldest_wait <= STUCK and (self.down or 0.0) <= DOWN

    @property
    def is_ready(self) -> bool:
        """A client that came now would be served at once."""
        return self.is_healthy and self.phase == "serving" and self.down is None

    def body(self) -> dict[str, Any]:
        """The answer, as JSON values."""
        state = "stalled" if not self.is_healthy else "restarting" if self.down is not None else self.phase
        return TranscriberHealth(
            status="ok" if state == "serving" else state,
            backend="faster_whisper",
            model=self.model,
            clients=self.clients,
            max_clients=self.max_clients,
            last_decode_s=self.last_decode,
            waiting=self.waiting,
            oldest_wait_s=self.oldest_wait,
            engine="up" if self.down is None else "restarting",
            restarts=self.restarts,
            level=self.level,
        ).as_json()


def application(status: Callable[[], Status], metrics: Metrics, more: Sequence[Route] = ()) -> Starlette:
    """The routes: /health is red when results do not come, /ready until the model is warm and while draining."""

    async def health(_: Request) -> JSONResponse:
        now = status()
        return JSONResponse(now.body(), 200 if now.is_healthy else 503)

    async def ready(_: Request) -> JSONResponse:
        now = status()
        return JSONResponse(now.body(), 200 if now.is_ready else 503)

    async def scrape(_: Request) -> Response:
        return Response(metrics.render(), media_type="text/plain; version=0.0.4")

    own = [Route("/health", health), Route("/ready", ready), Route("/metrics", scrape)]
    return Starlette(routes=[*own, *more])


class _Impatient(H11Protocol):
    """uvicorn's side of a connection, which by itself waits for ever for a request that has not begun or not ended."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait."""
        super().connection_made(transport)
        self.loop.call_later(PATIENCE, self._lose_patience, None)

    def on_response_complete(self) -> None:
        """Begins to wait again; the next request may already be there."""
        served = self.cycle
        super().on_response_complete()
        self.loop.call_later(PATIENCE, self._lose_patience, served)

    def _lose_patience(self, served: object) -> None:
        if self.cycle is served:
            self.transport.close()


class _EmbeddedServer(uvicorn.Server):
    """uvicorn as a guest: the process's signals are not its business, and others want their turn."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Serves; the kernel may keep more connections than are accepted in one go."""
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(BACKLOG)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves them alone."""
        yield


def http_server(app: Starlette, tls: ssl.SSLContext | None) -> uvicorn.Server:
    """A server for the routes; set its `should_exit` to end it."""
    config = uvicorn.Config(
        app, http=_Impatient, ws="none", log_config=None, log_level="error", access_log=False, lifespan="off",
        server_header=False, timeout_graceful_shutdown=1, backlog=ACCEPTED,
    )  # fmt: skip
    config.load()
    config.ssl = tls  # the one of the websocket; by itself it would read the files again
    return _EmbeddedServer(config)
