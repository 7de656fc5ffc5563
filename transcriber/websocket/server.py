"""The websocket server: lets clients in, one connection each, and out again in order."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from websockets.asyncio.server import Server as WebSocketServer
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from common.http import ACCEPTED_AT_ONCE, BACKLOG_CONNECTIONS
from common.whisperlive.protocol import MAX_MESSAGE_BYTES, SAMPLE_RATE, Handshake, ProtocolError, ServerProtocol
from transcriber.core.answers import StreamAnswers
from transcriber.core.slots import giving_way
from transcriber.metrics import Metrics
from transcriber.sessions import Session, Sessions
from transcriber.websocket.admission import Admission, network_of
from transcriber.websocket.connection import Connection

HANDSHAKE_TIMEOUT_S = 10.0
"""Seconds for the first message."""
WAIT_MINUTES = 1.0
"""What a client is told when the server is full."""
MAX_QUEUED_FRAMES = 1
"""Frames that may wait for us while a client's socket is read on; not more, for each may have a megabyte."""

log = structlog.get_logger(__name__)


class Server:
    """Admission and the set of connections.

    Args:
        sessions: What can be asked for, and a session for each stream.
        max_clients: Beyond this, clients are told to wait.
        admission: Decides who gets as far as the first message.
        metrics: Counts clients.
    """

    def __init__(self, sessions: Sessions, max_clients: int, admission: Admission, metrics: Metrics) -> None:
        self._sessions = sessions
        self._max_clients = max_clients
        self._admission = admission
        self._metrics = metrics
        self._connections: dict[Connection, tuple[ServerProtocol, Session]] = {}
        self.answers = StreamAnswers()
        """What all streams got."""
        metrics.backlog.set_function(self._backlog)
        self._draining = False
        self._empty = asyncio.Event()

    @property
    def clients(self) -> int:
        """Connections being served."""
        return len(self._connections)

    @property
    def is_owed(self) -> bool:
        """A client has ended what it said, or may send no more, and waits for the engine."""
        return any(connection.is_owed for connection in self._connections)

    @property
    def waiting(self) -> int:
        """Connections that have not said their first message yet."""
        return self._admission.waiting

    @asynccontextmanager
    async def listen(
        self, listener: socket.socket, tls: ssl.SSLContext | None = None
    ) -> AsyncIterator[WebSocketServer]:  # fmt: skip
        """Serves clients on a bound socket until the block ends."""
        async with serve(
            self.handle, sock=listener, ssl=tls, backlog=ACCEPTED_AT_ONCE, open_timeout=HANDSHAKE_TIMEOUT_S,
            close_timeout=1, compression=None, max_size=MAX_MESSAGE_BYTES, max_queue=MAX_QUEUED_FRAMES,
            ping_interval=None, server_header=None,
            **self._admission.options,
        ) as server:  # fmt: skip
            listener.listen(BACKLOG_CONNECTIONS)  # for asyncio both are one number
            yield server

    async def handle(self, socket: ServerConnection) -> None:
        """One client, from its first message to the close."""
        protocol = ServerProtocol()
        try:
            handshake = await self._greet(socket, protocol)
            if handshake is None:
                return
            self._admission.leave(socket)
            await self._serve(socket, protocol, handshake)
        except ConnectionClosed:
            pass
        except Exception:  # a bug in one connection must not take the others along
            log.exception("client.failed", uid=protocol.uid)
            self.answers.lose(asyncio.get_running_loop().time())
            await socket.close(1011, "internal error")

    async def drain(self, timeout: float) -> None:
        """Lets nobody in, sends everybody their last finals, and returns when all are gone or time is up."""
        self._draining = True
        self._admission.dismiss()
        for connection in self._connections:
            connection.drain()
        try:
            async with asyncio.timeout(timeout):
                while self._connections:
                    self._empty.clear()
                    await self._empty.wait()
        except TimeoutError:
            log.warning("server.drain_timeout", clients=self.clients)

    async def _greet(self, socket: ServerConnection, protocol: ServerProtocol) -> Handshake | None:
        """Reads the handshake and answers; None: refused and closed."""
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                first = await socket.recv()
        except TimeoutError:
            problem = f"No first message within {HANDSHAKE_TIMEOUT_S:g} s."
            await self._refuse(socket, protocol.refuse(problem), 1008, "timeout", problem)
            return None
        try:
            protocol.receive(first)
            self._check(protocol.handshake)
        except ProtocolError as error:
            await self._refuse(socket, protocol.refuse(str(error)), 1008, "handshake", str(error))
            return None
        is_full = self._draining or (self.clients >= self._max_clients and not await self._make_room(socket))
        if is_full or not self._sessions.admits:
            reason, problem = ("full", "full or draining") if is_full else ("load", "too late with the streams it has")
            await self._refuse(socket, protocol.wait(WAIT_MINUTES), 1000, reason, problem)
            return None
        return protocol.handshake

    async def _make_room(self, newcomer: ServerConnection) -> bool:
        """Takes the slot of a client that does not use it, if its address has more than its share."""
        slots = {connection: connection.slot for connection in self._connections}
        idle = giving_way(slots, network_of(newcomer.transport), asyncio.get_running_loop().time())
        if idle is None:
            return False
        del self._connections[idle]
        await idle.give_way()
        return self.clients < self._max_clients  # somebody may have been quicker

    def _backlog(self) -> float:
        """Seconds of audio received and not decided, of the stream with most of it."""
        waiting = (protocol.received_until - session.decided for protocol, session in self._connections.values())
        return max(waiting, default=0) / SAMPLE_RATE

    def _check(self, handshake: Handshake | None) -> None:
        known = self._sessions.languages
        if handshake and handshake.language and len(known) > 1 and handshake.language not in known:
            raise ProtocolError(f"language: the model {self._sessions.name} does not know {handshake.language!a}.")

    async def _refuse(self, socket: ServerConnection, message: str, code: int, reason: str, problem: str) -> None:
        self._admission.note(reason, socket.remote_address, problem)
        await socket.send(message)
        await socket.close(code)

    async def _serve(self, socket: ServerConnection, protocol: ServerProtocol, handshake: Handshake) -> None:
        try:
            session = self._sessions.session(handshake, protocol.granted, protocol.clock_start)
        except ProtocolError as error:
            return await self._refuse(socket, protocol.refuse(str(error)), 1008, "handshake", str(error))
        connection = Connection(socket, protocol, session, self.answers, self._metrics)
        self._connections[connection] = (protocol, session)
        self._metrics.clients.set(self.clients)
        log.info("client.connected", uid=protocol.uid, extensions=sorted(protocol.granted))
        if handshake.model != self._sessions.name:  # stock clients always name one; it is never loaded
            log.debug("client.model_ignored", uid=protocol.uid, asked=handshake.model, serving=self._sessions.name)
        try:
            for message in (*protocol.ready(), *map(protocol.warn, unavailable(handshake))):
                await socket.send(message)
            await connection.serve()
        finally:
            self._connections.pop(connection, None)  # it may have given way
            self._metrics.clients.set(self.clients)
            self._empty.set()
            log.info("client.left", uid=protocol.uid, heard_until=protocol.received_until, code=socket.close_code)


def unavailable(handshake: Handshake) -> list[str]:
    """What the client asks for and will not get."""
    asked = {"enable_translation": handshake.enable_translation, "enable_diarization": handshake.enable_diarization}
    return [f"{key}: not available on this server; the stream goes on without." for key, wish in asked.items() if wish]
