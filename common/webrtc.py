"""WebRTC connections through aiortc: ICE, DTLS and SRTP are its; what flows through them is ours.

Traffic is direct: a STUN or TURN server is asked only where whoever makes the connection names one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import ip_address
from typing import Any

from aioice import ice
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError

from common.datagrams import read_datagrams

CONNECT_TIMEOUT_S = (
    10.0  # seconds from the answer to the first possible packet; aiortc does not repeat lost DTLS packets
)
CLOSE_TIMEOUT_S = 1.0

_peer_on_loopback: ContextVar[bool] = ContextVar("peer_on_loopback", default=False)
_host_addresses = ice.get_host_addresses
_LAST_OF_STUN = 3


def _candidate_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    """Host candidates. aioice leaves 127.0.0.1 out; a peer on this machine's loopback gets it, and nothing else."""
    return ["127.0.0.1"] if _peer_on_loopback.get() else _host_addresses(use_ipv4=use_ipv4, use_ipv6=use_ipv6)


ice.get_host_addresses = _candidate_addresses


class _StunProtocol(ice.StunProtocol):
    """aioice's sockets. What is no STUN by its first byte (RFC 7983) is not tried as such: that is most of what comes.

    An empty datagram, which anybody can send, is dropped: aiortc's connection would end at it.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        read_datagrams(transport)

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        if not data:
            return
        if isinstance(data, bytes) and data[0] > _LAST_OF_STUN:
            self.receiver.data_received(data, self.local_candidate.component)
        else:
            super().datagram_received(data, addr)


ice.StunProtocol = _StunProtocol  # type: ignore[misc]
_SDP_FAULTS = (
    *(ValueError, LookupError, TypeError, AttributeError, AssertionError),
    *(InternalError, InvalidAccessError, InvalidStateError, OperationError),
)


def is_loopback(host: str) -> bool:
    """Whether a numeric address is this machine's loopback; names and other texts are not."""
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


@contextmanager
def _sdp_errors() -> Iterator[None]:
    """aiortc answers bad SDP with exceptions of many kinds: they all become ValueError."""
    try:
        yield
    except _SDP_FAULTS as error:
        raise ValueError(f"unusable session description: {error}") from error


class Peer:
    """One aiortc connection whose tasks have all ended after `close`.

    Args:
        loopback: The other side is on this machine's loopback interface.
        connected: Called once, when media can flow.
        lost: Called at most once with the reason, when it failed, or the other side closed it.
        ice_servers: STUN and TURN servers to ask.
    """

    def __init__(
        self,
        loopback: bool,
        connected: Callable[[], None] = lambda: None,
        lost: Callable[[str], None] = lambda reason: None,
        ice_servers: Sequence[RTCIceServer] = (),
    ) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[*ice_servers]))
        self._loopback = loopback
        self._connected, self._lost = connected, lost
        self._over = False
        self._deadline: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self._connecting: set[asyncio.Task[None]] = set()
        # aiortc connects in tasks that nobody waits for: they are made here, so that `close` can
        connect: Any = self.connection._RTCPeerConnection__connect  # type: ignore[attr-defined]

        def connect_in_task() -> asyncio.Task[None]:
            task = asyncio.get_running_loop().create_task(connect())
            self._connecting.add(task)
            return task

        self.connection._RTCPeerConnection__connect = connect_in_task  # type: ignore[attr-defined]
        self.connection.on("connectionstatechange", self._state_changed)

    async def offer(self) -> str:
        """An SDP offer with every candidate in it."""
        return await self._describe()

    async def answer(self, offer: str, agreed: Callable[[str], Awaitable[None]] | None = None) -> str:
        """Takes an SDP offer and returns the SDP answer, with every candidate in it. ValueError: not to be used.

        Args:
            offer: Of the other side.
            agreed: Awaited with the answer, no candidates in it yet, before anything is sent: where the other side
                must know our fingerprint first (aiortc does not repeat a DTLS packet that came too early).
        """
        with _sdp_errors():
            await self.connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            answer = await self.connection.createAnswer()
        if agreed is not None:
            await agreed(answer.sdp)
        with _sdp_errors():
            self._expect_connection()
            return await self._describe()

    async def accept(self, answer: str) -> None:
        """Takes the SDP answer to our `offer`. ValueError: not to be used."""
        with _sdp_errors():
            await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            self._expect_connection()

    async def _describe(self) -> str:
        token = _peer_on_loopback.set(self._loopback)
        try:
            await self.connection.setLocalDescription()
        finally:
            _peer_on_loopback.reset(token)
        return self.connection.localDescription.sdp

    def _expect_connection(self) -> None:
        if self._deadline is None and not self._over:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(
                CONNECT_TIMEOUT_S, self._end, f"no media connection in {CONNECT_TIMEOUT_S:g} s"
            )

    def _state_changed(self) -> None:
        state = self.connection.connectionState
        if state == "connected" and not self._over:
            if self._deadline is not None:
                self._deadline.cancel()
            self._connected()
        elif state in ("failed", "closed"):
            self._end("the media connection failed" if state == "failed" else "the other side closed the connection")

    def _end(self, reason: str) -> None:
        if not self._over:
            self._over = True
            self._lost(reason)

    async def close(self) -> None:
        """Ends the connection within a second; `lost` is not called any more. May be called again, and cancelled."""
        self._over = True
        if self._closing is None:  # a task of its own: half closed, aiortc could not be closed any more
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        for task in self._connecting:
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.connection.close()
        except TimeoutError:
            pass
