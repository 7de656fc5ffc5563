"""RTP on UDP: sockets that sort RTCP from RTP."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Callable

from bot.codecs.rtp import RtpError, RtpPacket, is_rtcp, parse_rtp
from bot.codecs.senders import Address
from common.contracts.status import SubCode
from common.datagrams import read_datagrams
from common.errors import EarshotError
from common.problems import reason

RECEIVE_BUFFER_BYTES = 1024 * 1024
"""Of a socket, as far as the kernel gives it: 2 s of 64 streams while the event loop is busy."""
PAIR_TRIES = 20
"""To find two free ports side by side, for RTCP on a port of its own."""

PacketHeard = Callable[[RtpPacket, Address, float], None]
"""Told of an RTP packet, where it came from, and when."""
ReportHeard = Callable[[bytes, Address], None]
"""Told of a datagram that looks like RTCP."""


class RtpPort:
    """One UDP port that RTP comes to, and RTCP with it or on the next port.

    Args:
        on_packet: Called for each RTP packet, from the event loop.
        on_report: Called for each datagram of RTCP.
    """

    def __init__(self, on_packet: PacketHeard, on_report: ReportHeard) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_packet, self._on_report = on_packet, on_report
        self._transports: list[asyncio.DatagramTransport] = []
        self.port = 0
        """The one that RTP comes to, once it is open."""
        self.malformed = 0
        """Datagrams that were neither RTP nor RTCP."""

    async def open(self, host: str, port: int, *, rtcp_mux: bool) -> None:
        """Listens.

        Args:
            host: An address of this machine.
            port: 0: any that is free.
            rtcp_mux: RTCP comes to the same port.

        Raises:
            EarshotError: PORT_TAKEN, or ROOM_UNREACHABLE where the address is not ours.
        """
        for last in range(PAIR_TRIES):
            try:
                await self._bind(host, port)
                if not rtcp_mux:
                    await self._bind(host, self.port + 1)
                return
            except (OSError, OverflowError) as error:
                self.close()
                if port or rtcp_mux or last == PAIR_TRIES - 1:
                    raise _not_bound(host, port, error) from None

    async def _bind(self, host: str, port: int) -> None:
        transport, _ = await self._loop.create_datagram_endpoint(
            lambda: _Datagrams(self._datagram), local_addr=(host, port)
        )
        self._transports.append(transport)
        read_datagrams(transport)
        bound: socket.socket = transport.get_extra_info("socket")
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        self.port = self.port if len(self._transports) > 1 else bound.getsockname()[1]

    def send_report(self, datagram: bytes, peer: Address) -> None:
        """Sends RTCP from the port that RTCP comes to; what does not arrive is not said."""
        if self._transports:
            self._transports[-1].sendto(datagram, peer)

    def close(self) -> None:
        """Nothing comes afterwards. May be called again."""
        for transport in self._transports:
            transport.close()
        self._transports = []

    def _datagram(self, datagram: bytes, source: Address) -> None:
        if not self._transports:
            return
        if is_rtcp(datagram):
            self._on_report(datagram, source)
            return
        try:
            packet = parse_rtp(datagram)
        except RtpError:
            self.malformed += 1
            return
        self._on_packet(packet, source, self._loop.time())


class _Datagrams(asyncio.DatagramProtocol):
    """Passes on what comes."""

    def __init__(self, receive: Callable[[bytes, Address], None]) -> None:
        self._receive = receive

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._receive(data, (_plain(addr[0]), addr[1]))


def _plain(host: str) -> str:
    """An address as it is said elsewhere: without a zone, and IPv4 as that where the socket listens to both."""
    host = host.partition("%")[0]
    if host.startswith("::ffff:"):
        return str(ipaddress.IPv6Address(host).ipv4_mapped or host)
    return host


def _not_bound(host: str, port: int, error: OSError | OverflowError) -> EarshotError:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if isinstance(error, OSError) and error.errno in (errno.EADDRINUSE, errno.EACCES):
        words = (
            f"UDP port {where} cannot be listened to ({reason(error)}): take another in `meetingUrl` or `rtp.streams`"
        )
        return EarshotError(SubCode.PORT_TAKEN, words)
    words = f"`meetingUrl` names {where}, where this machine cannot listen: {reason(error)}"
    return EarshotError(SubCode.ROOM_UNREACHABLE, words)
