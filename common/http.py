"""HTTP servers on uvicorn, as guests in a process that has signals, sockets and TLS of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_TIMEOUT_S = 10.0
"""Within which a connection must have sent the head of its first request, and after an answer of the next."""
ACCEPTED_AT_ONCE, BACKLOG_CONNECTIONS = 4, 1024
"""Connections that are accepted in one go, so that a flood of them holds nobody up; and that the kernel keeps for us
meanwhile: what it drops, honest clients wait a second or three to try again."""


class _ImpatientProtocol(H11Protocol):
    """uvicorn's side of a connection, which by itself waits for ever for a request that has not begun or not ended."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait."""
        super().connection_made(transport)
        self.loop.call_later(REQUEST_TIMEOUT_S, self._give_up, None)

    def on_response_complete(self) -> None:
        """Begins to wait again; the next request may already be there."""
        served = self.cycle
        super().on_response_complete()
        self.loop.call_later(REQUEST_TIMEOUT_S, self._give_up, served)

    def _give_up(self, served: object) -> None:
        if self.cycle is served:
            self.transport.close()


class _EmbeddedServer(uvicorn.Server):
    """uvicorn as a guest: the process's signals are not its business, and others want their turn."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Serves; the kernel may keep more connections than are accepted in one go."""
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(BACKLOG_CONNECTIONS)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves them alone."""
        yield


def http_server(app: Starlette, tls: ssl.SSLContext | None) -> uvicorn.Server:
    """A server for the routes; set its `should_exit` to end it."""
    config = uvicorn.Config(
        app, http=_ImpatientProtocol, ws="none", log_config=None, log_level="error", access_log=False, lifespan="off",
        server_header=False, timeout_graceful_shutdown=1, backlog=ACCEPTED_AT_ONCE,
    )  # fmt: skip
    config.load()
    config.ssl = tls  # the one of the websocket; by itself it would read the files again
    return _EmbeddedServer(config)
