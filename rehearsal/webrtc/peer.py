"""One bot in a rehearsal room: its signalling connection and one media connection per track it hears."""

from __future__ import annotations

import asyncio
import fractions
import json
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from aiortc import MediaStreamTrack, rtcrtpsender
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtpPacket
from av.packet import Packet
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from common.webrtc import Peer, is_loopback

RTP_CLOCK = fractions.Fraction(1, 48_000)


MAX_QUEUED_PACKETS = 500
"""Packets (10 s) of a track that wait to be sent: a process that was held up sends at once, when it goes on, what it
could not, and no rehearsal is worth more. Policy when full: the new one is not sent, and the room says that some of
what was said is missing."""


_sources: ContextVar[tuple[int, ...]] = ContextVar("sources", default=())
"""Of the packet that a sender's task has taken last."""


class _PacketWithSources(RtpPacket):
    """aiortc sends no contributing sources (RFC 3550 section 5.1): its packets get them as they are made."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.csrc = list(_sources.get())


rtcrtpsender.RtpPacket = _PacketWithSources  # type: ignore[attr-defined]


class EncodedTrack(MediaStreamTrack):
    """Opus packets on their way to aiortc's sender."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._packets: asyncio.Queue[tuple[Packet[Any], tuple[int, ...]]] = asyncio.Queue(MAX_QUEUED_PACKETS)

    def push(self, timestamp: int, payload: bytes, sources: tuple[int, ...] = ()) -> bool:
        """Queues a packet with its 48 kHz RTP timestamp (the origin is aiortc's) and its contributing sources.

        False: there is no room for it.
        """
        packet = Packet(payload)
        packet.pts, packet.time_base = timestamp, RTP_CLOCK
        try:
            self._packets.put_nowait((packet, sources))
        except asyncio.QueueFull:
            return False
        return True

    async def recv(self) -> Packet[Any]:
        """The next packet, when there is one."""
        if self.readyState != "live":
            raise MediaStreamError
        packet, sources = await self._packets.get()
        _sources.set(sources)
        return packet


class TrackSender:
    """Sends one track to one bot."""

    def __init__(self, loopback: bool, lost: Callable[[str], None]) -> None:
        self._track = EncodedTrack()
        self.opened = asyncio.Event()
        self.peer = Peer(loopback, self.opened.set, lost)
        self.peer.connection.addTransceiver(self._track, direction="sendonly")

    def push(self, timestamp: int, payload: bytes, sources: tuple[int, ...] = ()) -> bool:
        """Sends a packet; before the connection stands nobody hears it, and nobody misses it. False: it is lost."""
        return not self.opened.is_set() or self._track.push(timestamp, payload, sources)


class BotPeer:
    """The room's side of one bot.

    Args:
        identity: The bot's identity; a second connection with it takes the first one's place.
        websocket: Its signalling connection.
    """

    def __init__(self, identity: str, websocket: ServerConnection) -> None:
        self.identity = identity
        self._websocket = websocket
        self._loopback = is_loopback(str(websocket.remote_address[0]))
        self._outbox: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(1000)  # messages; full: disconnected
        self._senders: dict[str, TrackSender] = {}
        self._unclosed: set[TrackSender] = set()
        self._offering: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self.admitted = False

    async def run(self) -> None:
        """Signals in both directions until the connection ends; frees every media connection."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                writer = group.create_task(self._write())
                await self._read()
                self._group = None
                for task in (writer, *self._offering.values()):
                    task.cancel()
        finally:
            self._group = None
            await asyncio.gather(*map(self._close, set(self._unclosed)))

    async def _close(self, sender: TrackSender) -> None:
        await sender.peer.close()
        self._unclosed.discard(sender)

    def tell(self, kind: str, **content: Any) -> None:
        """Queues a message for the bot."""
        try:
            self._outbox.put_nowait({"type": kind, **content})
        except asyncio.QueueFull:
            self.cut()

    def finish(self, kind: str) -> None:
        """Says a last word and closes the connection."""
        self.tell(kind)
        with suppress(asyncio.QueueFull):
            self._outbox.put_nowait(None)

    def cut(self) -> None:
        """The network is gone: no farewell."""
        self._websocket.transport.abort()

    def open_track(self, track: str, participant: str, muted: bool) -> None:
        """Announces a track."""
        self.tell("track_opened", track=track, participant=participant, muted=muted)
        self.offer(track)

    def offer(self, track: str) -> None:
        """Offers the media of an announced track."""
        if self._group is not None:
            self._offering[track] = self._group.create_task(self._offer(track))

    async def _offer(self, track: str) -> None:
        sender = TrackSender(self._loopback, lambda reason: self.cut())
        self._senders[track] = sender
        self._unclosed.add(sender)
        self.tell("offer", track=track, sdp=await sender.peer.offer())

    def close_track(self, track: str) -> None:
        """Withdraws a track."""
        self.tell("track_closed", track=track)
        if offering := self._offering.pop(track, None):
            offering.cancel()
        sender = self._senders.pop(track, None)
        if sender is not None and self._group is not None:
            self._group.create_task(self._close(sender))

    def push(self, track: str, timestamp: int, payload: bytes, sources: tuple[int, ...] = ()) -> bool:
        """Sends a packet of a track. False: it is lost, because we do not get rid of what was said before."""
        sender = self._senders.get(track)
        return sender is None or sender.push(timestamp, payload, sources)

    async def _write(self) -> None:
        with suppress(ConnectionClosed):
            while (message := await self._outbox.get()) is not None:
                await self._websocket.send(json.dumps(message))
            await self._websocket.close()

    async def _read(self) -> None:
        with suppress(ConnectionClosed, ValueError, TypeError, KeyError):  # a peer that talks nonsense is disconnected
            while True:
                message = json.loads(await self._websocket.recv())
                if message["type"] == "leave":
                    return
                if message["type"] == "answer" and (sender := self._senders.get(message["track"])):
                    await sender.peer.accept(message["sdp"])
                else:
                    self._other(message)

    def _other(self, message: dict[str, Any]) -> None:
        """What a bot does not say."""
