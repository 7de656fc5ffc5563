"""Receives WebRTC audio tracks: RTP packets are taken from aiortc before its jitter buffer.

aiortc's own audio path loses four good packets for each lost one, adds 80 ms and can be silenced by one empty payload.
So the receiver's packet handler is replaced on the instance (private API: aiortc is pinned, and a test fails when the
hook is not called any more) and `bot.codecs.receiver` turns packets into audio.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from aiortc.codecs import get_capabilities
from aiortc.rtcrtptransceiver import RTCRtpTransceiver
from aiortc.rtp import RtpPacket

from bot.audio.frame import AudioFrame
from bot.codecs.receiver import OpusReceiver, Pcm
from common.webrtc import Peer

_sources = itertools.count(1)  # a track's next connection has another clock


class TrackReceiver:
    """Receives one audio track, subscribe-only: use `answer`, or `offer` and `accept`; then `close`.

    One connection per track: aiortc does not route a track that is added to a connection again.

    Args:
        track_id: What the frames are labelled with.
        audio: Called with every frame, from the event loop.
        loopback: The other side is on this machine's loopback interface.
        connected: Called once, when media can flow.
        lost: Called at most once, with the reason.
    """

    def __init__(
        self,
        track_id: str,
        audio: Callable[[AudioFrame], None],
        *,
        loopback: bool = False,
        connected: Callable[[], None] = lambda: None,
        lost: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._track_id, self._audio = track_id, audio
        self._loop = asyncio.get_running_loop()
        self._opus = OpusReceiver()
        self._timer: asyncio.TimerHandle | None = None
        self._clock = self._source = 0  # the receiver's count of clocks, and ours
        self._closed = False
        self.packets = 0
        """RTP packets handed over so far."""
        self._peer = Peer(loopback, connected, lost)
        self._transceiver: RTCRtpTransceiver = self._peer.connection.addTransceiver("audio", direction="recvonly")
        codecs = get_capabilities("audio").codecs
        self._transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == "audio/opus"])
        self._transceiver.receiver._handle_rtp_packet = self._packet  # type: ignore[method-assign]

    async def offer(self) -> str:
        """An SDP offer to receive one Opus track."""
        return await self._peer.offer()

    async def accept(self, answer: str) -> None:
        """Takes the answer to `offer`. Raises ValueError when it is no usable SDP."""
        await self._peer.accept(answer)

    async def answer(self, offer: str) -> str:
        """Answers an offer of one Opus track. Raises ValueError when it is no usable SDP."""
        return await self._peer.answer(offer)

    async def close(self) -> None:
        """Ends the connection within a second; neither frames nor calls come afterwards."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        await self._peer.close()

    async def _packet(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        """In place of aiortc's RTCRtpReceiver._handle_rtp_packet."""
        if self._closed:
            return
        self.packets += 1
        now = self._loop.time()
        self._emit(self._opus.push(packet.sequence_number, packet.timestamp, packet.ssrc, packet.payload, now), now)

    def _tick(self) -> None:
        now = self._loop.time()
        self._emit(self._opus.tick(now), now)

    def _emit(self, heard: list[Pcm], now: float) -> None:
        for piece in heard:
            if piece.source != self._clock:
                self._clock, self._source = piece.source, next(_sources)
            self._audio(AudioFrame(self._track_id, piece.pcm, piece.position, self._source, now))
        due = self._opus.next_timer()
        if self._timer is not None and (due is None or self._timer.when() != due):
            self._timer.cancel()
            self._timer = None
        if due is not None and self._timer is None and not self._closed:
            self._timer = self._loop.call_at(due, self._tick)
