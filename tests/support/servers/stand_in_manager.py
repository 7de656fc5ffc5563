"""Stand-in managers of three generations, over real HTTP: strict, and written from tables of what the real ones answer.

Not the real ones: each line of `_v6`, `_v10` and `_v12` is a row of those tables (docs/managers.md has their gist).
Faults can be ordered: an answer that never comes, a redirect, an error, a reply that is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from common.http import http_server
from tests.support.waiting import eventually
from transcriber.service import listen

Generation: TypeAlias = Literal["v0.6", "v0.10", "v0.12"]
Fault: TypeAlias = Literal["silent", "redirect", "500", "429", "lost", "drip", "huge", "gone"]
Stage: TypeAlias = Literal["requested", "joining", "awaiting_admission", "active"]
Older: TypeAlias = Literal["stopped", "validation_error", "awaiting_admission_timeout", "awaiting_admission_rejected",
                "left_alone", "evicted"]  # fmt: skip
ENDS = ("completed", "failed")


class _Body(BaseModel):
    connection_id: str
    container_id: str | None = None
    reason: str | None = None
    exit_code: int | None = None
    error_details: dict[str, Any] | None = None
    failure_stage: Stage | None = None
    timestamp: str | None = None


class _BodyV6(_Body):
    status: Literal["requested", "joining", "awaiting_admission", "active", "stopping", "completed", "failed"]
    completion_reason: Older | None = None


class _BodyV10(_Body):
    status: Literal[
        "requested", "joining", "awaiting_admission", "active", "needs_human_help", "stopping", "completed", "failed"
    ]
    completion_reason: (
        Older | Literal["max_bot_time_exceeded", "stopped_before_admission", "stopped_with_no_audio"] | None
    ) = None


class _BodyV12(BaseModel):
    """No null anywhere: a key is there with a value, or it is not."""

    model_config = ConfigDict(strict=True)
    connection_id: str
    container_id: str = ""
    status: Literal["joining", "awaiting_admission", "active", "needs_help", "completed", "failed"]
    reason: str = ""
    exit_code: int = 0
    error_details: str = ""
    completion_reason: Literal[
        "", "stopped", "left_alone", "startup_alone", "evicted", "awaiting_admission_timeout",
        "awaiting_admission_rejected", "join_failure", "auth_session_missing", "validation_error",
        "max_bot_time_exceeded"] = ""  # fmt: skip
    failure_stage: Stage = "requested"
    timestamp: str = ""


BODIES: dict[Generation, type[BaseModel]] = {"v0.6": _BodyV6, "v0.10": _BodyV10, "v0.12": _BodyV12}
ROUTES: dict[Generation, str] = {
    "v0.6": "/bots/internal/callback/status_change",
    "v0.10": "/bots/internal/callback/status_change",
    "v0.12": "/bots/internal/callback/lifecycle",
}
_ONWARD: dict[Generation, dict[str | None, tuple[str, ...]]] = {
    "v0.6": {"requested": ("joining",), "joining": ("awaiting_admission",), "awaiting_admission": ("active",)},
    "v0.10": {
        "requested": ("joining",),
        "joining": ("awaiting_admission", "active"),
        "awaiting_admission": ("active", "needs_human_help"),
        "needs_human_help": ("active",),
    },
    "v0.12": {
        "requested": ("joining",),
        "joining": ("awaiting_admission", "active", "failed"),
        "awaiting_admission": ("active", "needs_help", "failed"),
        "needs_help": ("active", "failed"),
        "active": ENDS,
    },
}


@dataclass
class Row:
    """A meeting in the manager's table."""

    status: str = "requested"
    moves: list[str] = field(default_factory=list)
    completion_reason: str | None = None
    failure_stage: str | None = None
    container_id: str | None = None
    stop_requested: bool = False


@dataclass
class Received:
    """One request."""

    headers: dict[str, str]
    body: bytes
    answered: int

    @property
    def value(self) -> dict[str, Any]:
        """Its body."""
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class StandInManager:
    """One manager with one meeting, that of `bot-1`."""

    generation: Generation
    rows: dict[str, Row] = field(default_factory=lambda: {"bot-1": Row()})
    received: list[Received] = field(default_factory=list)
    faults: deque[Fault | None] = field(default_factory=deque)
    """What happens to the next requests, one each; afterwards `always`."""
    always: Fault | None = None
    on_end: Callable[[], Awaitable[None]] | None = None
    """Awaited when an end arrives, before it is answered."""
    port: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Silent answers come to an end, for the test's."""

    @property
    def row(self) -> Row:
        """The meeting."""
        return self.rows["bot-1"]

    @property
    def url(self) -> str:
        """What this manager writes into its bots' configuration."""
        route = ROUTES[self.generation].replace("/status_change", "/exited")
        return f"http://127.0.0.1:{self.port}{route}"

    @property
    def settings(self) -> dict[str, str]:
        """The keys of a configuration that name it."""
        key = "botManagerCallbackUrl" if self.generation == "v0.6" else "meetingApiCallbackUrl"
        return {key: self.url}

    async def serve(self, request: Request) -> Response:
        """The route."""
        body = await request.body()
        fault = self.faults.popleft() if self.faults else self.always
        if fault in ("silent", "redirect", "500", "429", "gone"):
            self.received.append(Received(dict(request.headers), body, 0))
            return await self._failing(fault)
        code, value = self._answer(body)
        self.received.append(Received(dict(request.headers), body, code))
        if self.on_end and code == 200 and json.loads(body)["status"] in ENDS:
            await self.on_end()
        match fault:
            case "lost":  # it did what was asked, and nobody hears of it
                return StreamingResponse(_nothing(), status_code=200)
            case "drip":
                return StreamingResponse(_drip(), status_code=code)
            case "huge":
                return StreamingResponse(_huge(), status_code=code)
        return JSONResponse(value, status_code=code)

    async def _failing(self, fault: Fault | None) -> Response:
        if fault == "silent":
            await self.over.wait()
        if fault == "redirect":
            return Response(status_code=307, headers={"location": f"http://127.0.0.1:{self.port}/elsewhere"})
        return Response("no" * 100, status_code={"500": 500, "429": 429, "gone": 410}[str(fault)])

    def _answer(self, body: bytes) -> tuple[int, dict[str, Any]]:
        try:
            value = json.loads(body)
        except ValueError:
            return (500 if self.generation == "v0.12" else 422), {"detail": "not JSON"}
        try:
            BODIES[self.generation].model_validate(value)
        except ValidationError as error:
            return 422, {"detail": json.loads(error.json(include_context=False))}
        row = self.rows.get(value["connection_id"])
        answers = {"v0.6": self._v6, "v0.10": self._v10, "v0.12": self._v12}
        return answers[self.generation](row, value)

    def _v6(self, row: Row | None, value: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        status = value["status"]
        if row is None:
            return 200, {"status": "error", "detail": "no such meeting"}
        if row.stop_requested and status not in ENDS:
            return 200, {"status": "ignored"}
        if status == "active" and row.status in ("active", "awaiting_admission"):
            row.container_id = value.get("container_id")
        if status == row.status and status in ("active", *ENDS):
            return 200, {"status": row.status}
        if row.status in ENDS:
            return 200, {"status": row.status}
        if status in ENDS:
            self._end(row, value, keeps_reason=status == "completed")
            return 200, {"status": row.status}
        if status not in _ONWARD["v0.6"].get(row.status, ()):
            return 200, {"status": row.status if status == "active" else "error"}
        self._move(row, status)
        return 200, {"status": row.status}

    def _v10(self, row: Row | None, value: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        status = value["status"]
        if row is None:
            return 404, {"detail": "no such meeting"}
        if row.stop_requested and status not in ENDS:
            return 200, {"status": "ignored"}
        if row.status in ENDS:
            return 200, {"status": "processed", "meeting_status": row.status}
        if status == row.status == "active":
            return 200, {"status": "container_updated"}
        if status in ENDS:
            self._end(row, value, keeps_reason=True)
        elif status in _ONWARD["v0.10"].get(row.status, ()):
            self._move(row, status)
        else:
            return 200, {"status": "error"}
        return 200, {"status": "processed", "meeting_status": row.status}

    def _v12(self, row: Row | None, value: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        status = value["status"]
        if row is None or status == row.status:
            return 200, {"status": "accepted", "meeting_status": status}
        if status not in _ONWARD["v0.12"].get(row.status, ()):
            return 409, {"detail": f"{row.status} -> {status}"}
        if status in ENDS:
            self._end(row, value, keeps_reason=True)
        else:
            self._move(row, status)
        return 200, {"status": "accepted", "meeting_status": row.status}

    @staticmethod
    def _move(row: Row, status: str) -> None:
        row.status = status
        row.moves.append(status)

    def _end(self, row: Row, value: dict[str, Any], *, keeps_reason: bool) -> None:
        self._move(row, value["status"])
        row.completion_reason = value.get("completion_reason") if keeps_reason else None
        row.failure_stage = value.get("failure_stage")


async def _nothing() -> AsyncIterator[bytes]:
    before: tuple[bytes, ...] = ()
    for chunk in before:
        yield chunk
    raise ConnectionError("the reply is lost")


async def _drip() -> AsyncIterator[bytes]:
    while True:
        yield b" "
        await asyncio.sleep(0.05)


async def _huge() -> AsyncIterator[bytes]:
    while True:
        yield b" " * 65_536
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def served(manager: StandInManager) -> AsyncIterator[StandInManager]:
    """The manager on a port of its own; where it had one, on that again."""
    listener = listen("127.0.0.1", manager.port, "port")
    manager.port = listener.getsockname()[1]
    routes = [Route(path, manager.serve, methods=["POST"]) for path in (ROUTES[manager.generation], "/elsewhere")]
    guest = http_server(Starlette(routes=routes), None)
    serving = asyncio.create_task(guest.serve(sockets=[listener]))
    manager.over.clear()
    await eventually(lambda: guest.started)
    try:
        yield manager
    finally:
        manager.over.set()
        guest.should_exit = True
        await serving
        listener.close()
