"""A WebRTC audio track, received: packets are taken from aiortc where they come in, before its queues and its decoder.

aiortc's own audio path loses four good packets for each lost one, adds 80 ms and can be silenced by one empty payload.
It also hands each packet from task to task, by a queue and another turn of the event loop. So what the ICE connection
has received is looked at on the spot (`_datagram`, in place of a method of that one connection): RTP is decrypted by
aiortc's SRTP session and becomes audio at once, all else goes on to aiortc. aiortc's receiver is never started: that
spares a thread and a timer for each track. (Private API, pylibsrtp's too: aiortc is pinned, and a test fails when
nothing comes here.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pylibsrtp
import structlog
from aiortc import RTCIceServer
from aiortc.codecs import get_capabilities
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters
from aiortc.rtcrtptransceiver import RTCRtpTransceiver
from pylibsrtp import ffi, lib  # type: ignore[attr-defined]

from bot.audio.frame import AudioFrame
from bot.codecs.levels import LEVEL_URI, Levels
from bot.codecs.rtp import SILENT_DBOV, is_rtcp, parse_rtp
from bot.drivers.opus_track import OpusTrack
from common.audio.pcm import dbfs
from common.webrtc import Peer

MIN_JUDGED_SAMPLES = 320
"""20 ms, which browsers send: of shorter frames the decoder's delay (6.5 ms) is too much."""
MAX_PACKET_BYTES = 1_500
"""Of SRTP, as Ethernet carries it; longer ones are dropped."""
TRUSTED_PACKETS = 1_500
"""30 s in which a track that sounds as its sender says is not judged again."""

log = structlog.get_logger(__name__)


class TrackReceiver:
    """Receives one audio track, subscribe-only: use `answer`, or `offer` and `accept`; then `close`.

    One connection per track: aiortc does not route a track that is added to a connection again.

    Args:
        track_id: What the frames are labelled with.
        audio: Called with every frame, from the event loop.
        loopback: The other side is on this machine's loopback interface.
        connected: Called once, when media can flow.
        lost: Called at most once, with the reason.
        encrypted: Called when it shows that what comes is end-to-end encrypted, and again while it is: no frame comes.
        ice_servers: STUN and TURN servers to ask; none is asked else.
    """

    def __init__(
        self,
        track_id: str,
        audio: Callable[[AudioFrame], None],
        *,
        loopback: bool = False,
        connected: Callable[[], None] = lambda: None,
        lost: Callable[[str], None] = lambda reason: None,
        encrypted: Callable[[], None] = lambda: None,
        ice_servers: Sequence[RTCIceServer] = (),
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._payload_types: set[int] = set()  # of Opus, as negotiated
        self._track = OpusTrack(track_id, self._hear, self._payload_types)
        self._track_id, self._audio, self._encrypted = track_id, audio, encrypted
        self._levels, self._level_id = Levels(), 0
        self._pieces: list[AudioFrame] = []  # of the packet that is judged
        self._trusted = 0  # packets more
        self._is_judged = self._is_encrypted = False
        self._decrypt: Callable[[bytes], bytes] | None = None
        self._peer = Peer(loopback, connected, lost, ice_servers)
        self._transceiver: RTCRtpTransceiver = self._peer.connection.addTransceiver("audio", direction="recvonly")
        codecs = get_capabilities("audio").codecs
        self._transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == "audio/opus"])
        self._transceiver.receiver.receive = _never  # type: ignore[method-assign]
        self._dtls = self._transceiver.receiver.transport
        connection = self._dtls.transport._connection
        self._pass_on = connection.data_received
        connection.data_received = self._datagram  # type: ignore[method-assign]
        self.malformed = 0
        """Datagrams that looked like RTP and were none, or were not encrypted with our key: dropped."""

    async def offer(self) -> str:
        """An SDP offer to receive one Opus track."""
        return await self._peer.offer()

    async def accept(self, answer: str) -> None:
        """Takes the answer to `offer`. Raises ValueError when it is no usable SDP, or of no Opus track."""
        await self._peer.accept(answer)
        self._negotiated()

    async def answer(self, offer: str, agreed: Callable[[str], Awaitable[None]] | None = None) -> str:
        """Answers an offer of one Opus track. Raises ValueError when it is no usable SDP.

        `agreed` is awaited with the answer before anything is sent (`common.webrtc.Peer.answer`).
        """
        answer = await self._peer.answer(offer, agreed)
        self._negotiated()
        return answer

    def _negotiated(self) -> None:
        for codec in self._transceiver._codecs:
            if codec.mimeType.lower() == "audio/opus" and codec.payloadType is not None:
                self._payload_types.add(codec.payloadType)
        for extension in self._transceiver._headerExtensions:
            if extension.uri == LEVEL_URI:
                self._level_id = extension.id

    @property
    def packets(self) -> int:
        """RTP packets handed over so far."""
        return self._track.packets

    @property
    def foreign(self) -> int:
        """RTP packets that were no Opus as it was negotiated, dropped."""
        return self._track.foreign

    async def close(self) -> None:
        """Ends the connection within a second; neither frames nor calls come afterwards."""
        self._track.close()
        await self._peer.close()

    def _datagram(self, data: bytes, component: int) -> None:
        """In place of aioice's Connection.data_received: what is neither STUN nor, here, RTP is aiortc's (RFC 7983)."""
        if not 127 < data[0] < 192 or is_rtcp(data):
            self._pass_on(data, component)
            return
        if self._decrypt is None:
            if self._dtls.state != "connected":  # before the end of the handshake there is no key
                return
            self._decrypt = _decryption(self._dtls._rx_srtp)
        try:
            packet = parse_rtp(self._decrypt(data))
        except ValueError:
            self.malformed += 1
            return
        self._trusted -= 1
        said = packet.level(self._level_id) if self._level_id and self._trusted < 0 else None
        self._is_judged = said is not None and said > SILENT_DBOV
        self._track.packet(
            *(packet.sequence_number, packet.timestamp, packet.ssrc, packet.payload_type, packet.payload),
            self._loop.time(),
        )
        if said is not None and self._is_judged:
            self._judge(said)

    def _hear(self, frame: AudioFrame) -> None:
        if self._is_judged:
            self._pieces.append(frame)
        if not self._is_encrypted:
            self._audio(frame)

    def _judge(self, said: int) -> None:
        """Whether the packet that came sounds as its sender says: noise does not (`bot.codecs.levels`)."""
        pieces, self._pieces = self._pieces, []
        if len(pieces) != 1 or len(pieces[0].pcm) < MIN_JUDGED_SAMPLES:  # behind a hole, or what others had left
            return
        follows = self._levels.take(said, dbfs(pieces[0].pcm))
        if follows is None:
            return
        if follows is self._is_encrypted:
            self._is_encrypted = not follows
            event = "track_sounds_encrypted" if self._is_encrypted else "track_is_heard_again"
            log.warning(event, track=self._track_id)
        if follows:
            self._trusted = TRUSTED_PACKETS
        else:
            self._encrypted()


def _decryption(session: pylibsrtp.Session) -> Callable[[bytes], bytes]:
    """What `session.unprotect` does, without the objects that it makes for each packet, which are half of its time.

    What it gives raises ValueError: a packet that is not encrypted with our key, or was there before, or is too long.
    """
    memory, length = ffi.new("char[]", MAX_PACKET_BYTES), ffi.new("int *")
    content, owner, unprotect = ffi.buffer(memory), session._srtp, lib.srtp_unprotect

    def decrypt(packet: bytes) -> bytes:
        length[0] = size = len(packet)
        content[0:size] = packet  # raises ValueError: does not fit
        if unprotect(owner[0], memory, length):
            raise ValueError("not to be decrypted")
        plain: bytes = content[0 : length[0]]
        return plain

    return decrypt


async def _never(parameters: RTCRtpReceiveParameters) -> None:
    """In place of RTCRtpReceiver.receive."""
