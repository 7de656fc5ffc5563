"""Admission of clients: what is decided about a connection before it is a websocket, and until its first message."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from common.auth import BEARER, has_key, is_allowed
from transcriber.metrics import Metrics

MIN_WAITING_PER_ADDRESS = 16
"""Connections of one address (IPv6: one /64) that have not said their first message yet; as many as clients are served
if that is more, for a fleet behind one address comes back at once. Twice as many in all: no address has every place."""
HANDSHAKE_GRACE_S = 1.0
"""Seconds after which one of them has to make room for a newer one: a handshake takes milliseconds."""
RETRY_AFTER_S = 1
"""Seconds, told to those for whom there is no room."""
MAX_READ_BYTES = 16 * 1024
"""Bytes read of one connection before others have a turn: asyncio's 256 KiB can be a second's work, 40,000 frames."""
MAX_EXTRA_FRAMES, EXTRA_FRAMES_PER_S = 300, 100
"""Frames that are no message, pings, pongs and further fragments, that a client may send at any speed, and then."""
MAX_UNREAD_BYTES = 1 << 20
"""Bytes waiting for a client above which its pings are not answered any more: the connection ends."""

DECIDING_HEADERS = ("Host", "User-Agent", "Authorization", "Sec-WebSocket-Protocol")
"""Of a request for a websocket, that decide about it beside `Origin`."""

_FULL = "There is no room for another connection just now.\n"
_NO_ROOM = (
    f"HTTP/1.1 503 Service Unavailable\r\nRetry-After: {RETRY_AFTER_S}\r\nConnection: close\r\n"
    f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(_FULL)}\r\n\r\n{_FULL}"
).encode("ascii")

log = structlog.get_logger(__name__)


class Admission:
    """Lets connections in or sends them away with an HTTP status.

    Args:
        key: What clients must have; None: nobody is asked.
        origins: Of browser pages that may connect, lower case; `*`: any.
        max_clients: How many are served.
        metrics: Counts who is refused.
    """

    def __init__(self, key: str | None, origins: Sequence[str], max_clients: int, metrics: Metrics) -> None:
        self._key = key
        self._origins = frozenset(origins)
        self._metrics = metrics
        self._most_per_address = max(MIN_WAITING_PER_ADDRESS, max_clients)
        self._most = 2 * self._most_per_address
        # Connection → its address and when it came, oldest first; at most `_most`.
        self._waiting: dict[ServerConnection, tuple[str, float]] = {}
        self._waiting_each: Counter[str] = Counter()
        self._is_over = False

    @property
    def waiting(self) -> int:
        """Connections that have not said their first message yet."""
        return len(self._waiting)

    @property
    def options(self) -> dict[str, Any]:
        """For `websockets.serve`."""
        return {
            "create_connection": partial(GuardedConnection, self),
            "process_request": self.check,
            "select_subprotocol": select,
        }

    def check(self, socket: ServerConnection, request: Request) -> Response | None:
        """The answer to a request for a websocket that is not granted."""
        origins = request.headers.get_all("Origin")
        host, agent, authorization, protocols = (", ".join(request.headers.get_all(name)) for name in DECIDING_HEADERS)
        if not is_allowed(origins, self._origins, host, agent):
            return self._refused(
                socket, HTTPStatus.FORBIDDEN, "origin",
                "Pages of this origin may not connect: the server's --allow-origin lists those that may.\n",
            )  # fmt: skip
        if self._key is not None and not has_key(authorization, protocols, self._key):
            response = self._refused(
                socket, HTTPStatus.UNAUTHORIZED, "key",
                "The API key is missing or wrong: send `Authorization: Bearer KEY`, "
                "or `Sec-WebSocket-Protocol: bearer, KEY`.\n",
            )  # fmt: skip
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
        return None

    def enter(self, connection: ServerConnection, address: str, now: float) -> bool:
        """A connection came. False: there is no room for it, nor anybody who has waited long enough to go."""
        if self._is_over:
            return False
        if self._waiting_each[address] >= self._most_per_address:
            room = self._make_room(now, address)
        else:
            room = len(self._waiting) < self._most or self._make_room(now)
        if room:
            self._waiting[connection] = (address, now)
            self._waiting_each[address] += 1
        else:
            self.note("connections", address, "too many connections in their handshake")
        return room

    def leave(self, connection: ServerConnection) -> None:
        """A connection has said its first message, or is gone."""
        if (entry := self._waiting.pop(connection, None)) is not None:
            self._waiting_each[entry[0]] -= 1
            self._waiting_each += Counter()  # forgets addresses of whom nobody is left

    def dismiss(self) -> None:
        """Sends everybody away who has not said their first message: the server stops and would wait for them."""
        self._is_over = True
        for connection in list(self._waiting):
            connection.transport.abort()

    def note(self, reason: str, peer: object, problem: str) -> None:
        """Counts and logs somebody who was refused."""
        self._metrics.refused.labels(reason).inc()
        log.warning("client.refused", peer=peer, reason=reason, problem=problem)

    def give_up(self, reason: str, peer: object) -> None:
        """Counts and logs a client whose connection we end."""
        self._metrics.closed.labels(reason).inc()
        log.warning("client.given_up", peer=peer, reason=reason)

    def _make_room(self, now: float, address: str | None = None) -> bool:
        """Sends away the oldest, of this address if one is given."""
        for connection, (its, since) in self._waiting.items():
            if address in (None, its):
                if now - since < HANDSHAKE_GRACE_S:
                    return False
                self.leave(connection)
                self.note("connections", its, "its handshake took long and others are waiting")
                connection.transport.abort()
                return True
        return False

    def _refused(self, socket: ServerConnection, status: HTTPStatus, reason: str, text: str) -> Response:
        self.note(reason, socket.remote_address, text.strip())
        return socket.respond(status, text)


class GuardedConnection(ServerConnection):
    """A connection that is counted from the moment it is accepted until `Admission.leave`."""

    def __init__(self, admission: Admission, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._admission = admission
        self._extras, self._extra_at = float(MAX_EXTRA_FRAMES), self.loop.time()
        self._take = self.protocol.recv_frame
        self.protocol.recv_frame = self._take_sparingly  # type: ignore[method-assign]  # nobody asks us before an answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Starts the handshake, or sends the peer away before it has said anything."""
        if self._admission.enter(self, network_of(transport), self.loop.time()):
            # asyncio's own name for it; nothing happens where it has another.
            cast(Any, transport).max_size = MAX_READ_BYTES
            super().connection_made(transport)
            return
        transport.set_protocol(asyncio.Protocol())
        cast(asyncio.Transport, transport).write(_NO_ROOM)
        transport.close()

    def data_received(self, data: bytes) -> None:
        """Takes little at a time, for TLS brings much: a flood is to end its connection before all is answered."""
        for first in range(0, len(data), MAX_READ_BYTES):
            if not self.transport.is_closing():
                super().data_received(data[first : first + MAX_READ_BYTES])

    def _take_sparingly(self, frame: Frame) -> None:
        """Ends a connection with a flood of what is no message, amid what was read. Raises ProtocolError."""
        if frame.opcode in (Opcode.PING, Opcode.PONG, Opcode.CONT) and not self._may_send_more():
            self._admission.give_up("flood", self.remote_address)
            self.transport.abort()
            raise ProtocolError("too many pings or fragments")
        self._take(frame)

    def _may_send_more(self) -> bool:
        now = self.loop.time()
        self._extras = min(MAX_EXTRA_FRAMES, self._extras + (now - self._extra_at) * EXTRA_FRAMES_PER_S) - 1
        self._extra_at = now
        return self._extras >= 0 and self.transport.get_write_buffer_size() <= MAX_UNREAD_BYTES

    def connection_lost(self, exc: Exception | None) -> None:
        """Makes room."""
        self._admission.leave(self)
        super().connection_lost(exc)


def select(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """`bearer` and never the key beside it: a browser wants one of those it offered."""
    return Subprotocol(BEARER) if BEARER in offered else None


def network_of(transport: asyncio.BaseTransport) -> str:
    """Where a connection comes from; empty for one that was gone before it was seen."""
    peer = transport.get_extra_info("peername")
    return network(peer[0]) if peer else ""


def network(address: str) -> str:
    """An IPv4 address, or the /64 of an IPv6 address: one household or machine has all of it."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:  # on a socket that takes both
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed.packed[:8] + bytes(8), 64)))
