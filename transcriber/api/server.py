"""The HTTP server: health, readiness and metrics, beside the routes for recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from common.contracts.health import TranscriberHealth
from transcriber.core.limits import TimeLimits
from transcriber.core.uploads import ApiError
from transcriber.metrics import Metrics

MAX_PATH_CHARACTERS = 100
"""Of a path that is no route, in the answer."""

Phase = Literal["starting", "serving", "draining"]


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """What the process says about itself. Ages and waits in seconds."""

    model: str
    max_clients: int
    backend: str = "faster_whisper"
    """What decodes."""
    clients: int = 0
    phase: Phase = "starting"
    last_decode: float | None = None
    """Age of the last result that the engine gave."""
    waiting: int = 0
    """Streams with a pass due."""
    oldest_wait: float = 0.0
    """How long the oldest live pass that is not done has been due: load, not health."""
    unanswered: float = 0.0
    """For how long the engine was asked and gave no result."""
    is_failing: bool = False
    """The engine is being replaced because every call failed."""
    down: float | None = None
    """For how long the engine has been gone; None: it is there."""
    restarts: int = 0
    """Engines replaced so far."""
    level: int = 0
    """Of load shedding; 0: none."""
    limits: TimeLimits = field(default_factory=TimeLimits)
    """What is too long for the model."""

    @property
    def is_healthy(self) -> bool:
        """Results come, however late, or there is nothing to do."""
        is_stalled = self.unanswered > self.limits.answer or (self.down or 0.0) > self.limits.replacement
        return not (is_stalled or self.is_failing)

    @property
    def is_ready(self) -> bool:
        """A client that came now would be served at once."""
        return self.is_healthy and self.phase == "serving" and self.down is None

    @property
    def _status(self) -> str:
        if self.is_failing:
            return "failing"
        if not self.is_healthy:
            return "stalled"
        if self.down is not None:
            return "restarting"
        return "ok" if self.phase == "serving" else self.phase

    def body(self) -> dict[str, Any]:
        """The answer, as JSON values."""
        return TranscriberHealth(
            status=self._status,
            backend=self.backend,
            model=self.model,
            clients=self.clients,
            max_clients=self.max_clients,
            last_decode_s=self.last_decode,
            waiting=self.waiting,
            oldest_wait_s=self.oldest_wait,
            unanswered_s=self.unanswered,
            engine="up" if self.down is None else "restarting",
            restarts=self.restarts,
            level=self.level,
        ).as_json()


def application(report: Callable[[], ServiceHealth], metrics: Metrics, more: Sequence[Route] = ()) -> Starlette:
    """The routes: /health is red when results do not come, /ready until the model is warm and while draining."""

    async def health(_: Request) -> JSONResponse:
        now = report()
        return JSONResponse(now.body(), 200 if now.is_healthy else 503)

    async def ready(_: Request) -> JSONResponse:
        now = report()
        return JSONResponse(now.body(), 200 if now.is_ready else 503)

    async def scrape(_: Request) -> Response:
        return Response(metrics.render(), media_type="text/plain; version=0.0.4")

    own = [Route("/health", health), Route("/ready", ready), Route("/metrics", scrape)]
    routes = [*own, *more]

    async def refuse(request: Request, error: Exception) -> JSONResponse:
        """No such route, or another method: in the shape of all errors."""
        assert isinstance(error, HTTPException)
        tried = f"{request.method} {request.url.path[:MAX_PATH_CHARACTERS]}"
        problem = f"There is no {tried}: the routes are {', '.join(route.path for route in routes)}."
        return JSONResponse(ApiError(error.status_code, problem).body, error.status_code, error.headers)

    server = Starlette(routes=routes, exception_handlers={HTTPException: refuse})
    server.router.redirect_slashes = False  # to an address that a proxy may not have, without a word
    return server
