"""RTP on UDP: sockets that sort RTCP from RTP, and a track whose codec may change, decoded by ourselves."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Callable, Mapping
from typing import Protocol

from bot.audio.frame import AudioFrame
from bot.codecs.formats import Format
from bot.codecs.receiver import OpusReceiver, Receiver
from bot.codecs.rtp import SILENT_DBOV, Kind, RtpError, RtpPacket, is_rtcp, parse_rtp
from bot.codecs.samples import SampleReceiver
from bot.codecs.senders import Address
from bot.drivers.opus_track import PacketTrack
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


class Decoder(Protocol):
    """What makes frames of one track's packets."""

    def packet(self, packet: RtpPacket, now: float) -> None:
        """Takes a packet as it came."""

    def finish(self) -> None:
        """Its sender has gone: what still waits comes now, where that can be had. No frame comes afterwards."""

    def close(self) -> None:
        """No frame comes afterwards. May be called again."""


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


class NativeDecoder:
    """A track decoded here: jitter buffer, concealment, silence, each codec by the receiver for it.

    Args:
        track_id: What the frames are labelled with.
        audio: Called with every frame, from the event loop.
        formats: By payload type; packets of other types keep their place and are not heard.
        level_id: Id of the header extension with the audio level; None: it is not sent.
    """

    def __init__(
        self,
        track_id: str,
        audio: Callable[[AudioFrame], None],
        formats: Mapping[int, Format],
        level_id: int | None = None,
    ) -> None:
        self._track_id, self._audio, self._formats, self._level_id = track_id, audio, formats, level_id
        self._form: Format | None = None
        self._track: PacketTrack | None = None
        self._is_closed = False

    def packet(self, packet: RtpPacket, now: float) -> None:
        """See `Decoder`."""
        if self._is_closed:
            return
        form = self._formats.get(packet.payload_type)
        if form is not None and form != self._form:  # the codec has changed: its clock, too
            if self._track is not None:
                self._track.finish()
            self._form = form
            self._track = PacketTrack(self._track_id, self._audio, receiver_of(form))
        if self._track is not None:
            kind = Kind.OTHER if form is None else self._kind(packet)
            self._track.packet(
                packet.sequence_number, packet.timestamp, packet.ssrc, packet.payload_type, packet.payload, now, kind
            )

    def _kind(self, packet: RtpPacket) -> Kind:
        is_silent = self._level_id is not None and packet.level(self._level_id) == SILENT_DBOV
        return Kind.SILENCE if is_silent else Kind.SOUND

    def finish(self) -> None:
        """See `Decoder`."""
        if self._track is not None:
            self._track.finish()
        self.close()

    def close(self) -> None:
        """See `Decoder`."""
        self._is_closed = True
        if self._track is not None:
            self._track.close()


def receiver_of(form: Format) -> Receiver:
    """What reads payloads of a format."""
    match form.codec:
        case "opus":
            return OpusReceiver()
        case "pcmu" | "pcma" | "l16":
            return SampleReceiver(form)
