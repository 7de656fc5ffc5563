"""Health, readiness and metrics over HTTP, and the server that also carries the routes for recordings."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from transcriber.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Status:
    """What the process says about itself."""

    ready: bool
    """The model is warm and clients are let in."""
    stalled: bool
    """A decoding has not come back."""
    model: str
    clients: int
    max_clients: int


def application(status: Callable[[], Status], metrics: Metrics, more: Sequence[Route] = ()) -> Starlette:
    """The routes: /health is red when a decoding is stuck, /ready until the model is warm and again while draining."""

    async def health(_: Request) -> JSONResponse:
        return _answer(status(), lambda now: not now.stalled)

    async def ready(_: Request) -> JSONResponse:
        return _answer(status(), lambda now: now.ready and not now.stalled)

    async def scrape(_: Request) -> Response:
        return Response(metrics.render(), media_type="text/plain; version=0.0.4")

    own = [Route("/health", health), Route("/ready", ready), Route("/metrics", scrape)]
    return Starlette(routes=[*own, *more])


def _answer(now: Status, good: Callable[[Status], bool]) -> JSONResponse:
    state = "stalled" if now.stalled else "ok" if now.ready else "starting or draining"
    body: dict[str, Any] = {"status": state, "backend": "faster_whisper", "model": now.model}
    body |= {"clients": now.clients, "max_clients": now.max_clients}
    return JSONResponse(body, 200 if good(now) else 503)


class _EmbeddedServer(uvicorn.Server):
    """uvicorn as a guest: the process's signals are not its business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves them alone."""
        yield


def http_server(app: Starlette) -> uvicorn.Server:
    """A server for the routes; set its `should_exit` to end it."""
    return _EmbeddedServer(
        uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    )
