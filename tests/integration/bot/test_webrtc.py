"""The WebRTC driver against a second aiortc connection on loopback."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import aioice.ice
import numpy as np
import pytest
from aiortc.rtp import RtpPacket

from bot.audio.frame import AudioFrame
from bot.drivers.webrtc import TrackReceiver
from common import webrtc as connections
from common.audio.opus import OpusEncoder
from common.datagrams import MAX_DATAGRAM_BYTES
from common.webrtc import Peer, is_loopback
from rehearsal.webrtc.peer import MAX_QUEUED_PACKETS, EncodedTrack, TrackSender
from tests.support.servers.singing import locked, swelling, with_level
from tests.support.waiting import eventually

FRAME = 960


class Pair:
    """A sender and a receiver of one track; what came and what was called."""

    def __init__(self) -> None:
        self.frames: list[AudioFrame] = []
        self.lost: list[str] = []
        self.gone = asyncio.Event()
        self.connected = asyncio.Event()
        self.sender = TrackSender(True, lambda reason: None)
        self.encrypted = 0
        self.receiver = TrackReceiver(
            *("t", self.frames.append),
            loopback=True,
            connected=self.connected.set,
            lost=self._lost,
            encrypted=self._is_encrypted,
        )
        self._encoder = OpusEncoder(48_000)
        self._sent = 0

    def _lost(self, reason: str) -> None:
        self.lost.append(reason)
        self.gone.set()

    def _is_encrypted(self) -> None:
        self.encrypted += 1

    async def connect(self) -> None:
        """Offer and answer, until media can flow on both sides."""
        await self.sender.peer.accept(await self.receiver.answer(await self.sender.peer.offer()))
        async with asyncio.timeout(5):
            await self.connected.wait()
            await self.sender.opened.wait()

    async def send(self, count: int) -> None:
        """Sends packets of a 440 Hz sine in real time."""
        for _ in range(count):
            self.sender.push(self._sent * FRAME, self.tone(self._sent))
            self._sent += 1
            await asyncio.sleep(0.02)

    def tone(self, number: int) -> bytes:
        """Packet of this number, of a 440 Hz sine."""
        wave = 8000 * np.sin(2 * np.pi * 440 * np.arange(number * FRAME, (number + 1) * FRAME) / 48_000)
        return self._encoder.encode(wave.astype(np.int16))

    @property
    def samples(self) -> int:
        """Samples heard."""
        return sum(frame.pcm.size for frame in self.frames)


@asynccontextmanager
async def pair() -> AsyncIterator[Pair]:
    """Closes both ends, and checks that no thread of aiortc is left."""
    threads = threading.active_count()
    both = Pair()
    try:
        yield both
    finally:
        await asyncio.gather(both.receiver.close(), both.sender.peer.close())
    assert threading.active_count() <= threads + 1  # the default executor's may stay


async def test_takes_rtp_where_it_comes_in() -> None:
    """Every packet is taken from aioice itself: aiortc reads no RTP, and has neither thread nor task for the track."""
    async with pair() as both:
        threads = threading.active_count()
        await both.connect()
        assert threading.active_count() <= threads + 1  # of the sender's encoder
        sockets = both.receiver._dtls.transport._connection._protocols
        assert {each.transport.max_size for each in sockets} == {MAX_DATAGRAM_BYTES}  # type: ignore[attr-defined]
        read: Any = both.receiver._dtls._RTCDtlsTransport__rx_packets  # type: ignore[attr-defined]
        await both.send(50)
        assert both.receiver.packets >= 48, "aioice does not call the hook any more: see its Connection.data_received"
        assert both.receiver._dtls._RTCDtlsTransport__rx_packets - read <= 5, "aiortc reads RTP, too"  # type: ignore[attr-defined]
        assert both.samples >= 47 * 320
        frame = both.frames[-1]
        assert frame.pcm.dtype == np.int16
        assert frame.track_id == "t"
        assert frame.arrival <= asyncio.get_running_loop().time()
        assert np.abs(frame.pcm).max() > 4000


async def test_an_empty_datagram_ends_nothing() -> None:
    """Anybody who knows the port may send one, at any time: the track goes on, and no log is filled."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
    async with pair() as both:
        await both.connect()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for each in both.receiver._dtls.transport._connection._protocols:
                stranger.sendto(b"", each.transport.get_extra_info("sockname")[:2])
        before = both.samples
        await both.send(10)
        await eventually(lambda: both.samples >= before + 8 * 320)
        assert (both.lost, complaints) == ([], [])


async def test_a_sender_that_was_held_up_loses_nothing() -> None:
    """What a busy process could not send for six seconds goes out when it goes on, and all of it is heard."""
    async with pair() as both:
        await both.connect()
        for number in range(300):
            assert both.sender.push(number * FRAME, both.tone(number))
        await eventually(lambda: both.samples == 300 * 320, 20)


def test_what_a_room_cannot_send_is_known() -> None:
    """Beyond ten seconds nothing more is taken; nobody who waits for packets is needed for that."""
    track = EncodedTrack()
    assert [track.push(number, b"x") for number in range(MAX_QUEUED_PACKETS + 2)].count(False) == 2


async def test_offers_too() -> None:
    """The other direction of negotiation (WHEP): we offer to receive, the other side answers."""
    async with pair() as both:
        await both.receiver.accept(await both.sender.peer.answer(await both.receiver.offer()))
        async with asyncio.timeout(5):
            await both.connected.wait()
        await both.send(20)
        assert both.samples > 0


async def test_only_opus_is_offered_and_nobody_else_is_asked() -> None:
    """The session description has one codec, one address, and there is no STUN or TURN server."""
    async with pair() as both:
        offer = await both.receiver.offer()
        assert [line for line in offer.splitlines() if line.startswith("a=rtpmap")] == ["a=rtpmap:96 opus/48000/2"]
        candidates = [line.split()[4] for line in offer.splitlines() if line.startswith("a=candidate")]
        assert set(candidates) == {"127.0.0.1"}
        assert both.receiver._peer.connection._RTCPeerConnection__configuration.iceServers == []  # type: ignore[attr-defined]


async def test_loopback_only_for_a_peer_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The patch gives 127.0.0.1 to a loopback peer alone; everybody else gets aioice's own answer."""
    monkeypatch.setattr(connections, "_host_addresses", lambda use_ipv4, use_ipv6: ["198.51.100.7"])
    assert aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True) == ["198.51.100.7"]
    peer = Peer(loopback=True)
    peer.connection.addTransceiver("audio", direction="recvonly")
    offer = await peer.offer()
    assert "127.0.0.1" in offer
    assert "198.51.100.7" not in offer
    assert aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True) == ["198.51.100.7"]
    await peer.close()


def test_aioice_is_as_patched() -> None:
    """aioice still asks the function that is patched, by this name, and itself leaves loopback out."""
    assert aioice.ice.get_host_addresses is connections._candidate_addresses
    assert "get_host_addresses" in aioice.ice.Connection.gather_candidates.__code__.co_names
    assert "127.0.0.1" not in connections._host_addresses(use_ipv4=True, use_ipv6=False)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("192.0.2.1", False), ("localhost", False), ("", False)],
)
def test_is_loopback(host: str, loopback: bool) -> None:
    """Numeric loopback addresses only."""
    assert is_loopback(host) is loopback


async def test_survives_empty_and_broken_payloads() -> None:
    """An empty payload, which silences aiortc's decoder for good, and garbage do no harm."""
    async with pair() as both:
        await both.connect()
        sending = both.sender.peer.connection.getSenders()[0].transport
        for number, payload in enumerate([b"", b"\xff" * 40, b"\x00", bytes(1200)]):
            packet = RtpPacket(
                payload_type=96, sequence_number=number, timestamp=number * FRAME, ssrc=7, payload=payload
            )
            await sending._send_rtp(packet.serialize())
        await eventually(lambda: both.receiver.packets == 4, 5)
        await both.send(30)
        assert both.samples >= 20 * 320


async def test_survives_what_strangers_send() -> None:
    """Datagrams of anybody, empty, short, long or with somebody else's key, are dropped: what is encrypted is heard."""
    async with pair() as both:
        await both.connect()
        transport = both.sender.peer.connection.getSenders()[0].transport.transport
        strange = [b"", b"\x80", b"\x80\x60", b"\x00", b"\x80\x60" + bytes(30), b"\x80\x60" + bytes(9000), b"\xff" * 20]
        for datagram in strange:
            await transport._send(datagram)
        await both.send(30)
        assert both.samples >= 25 * 320
        assert both.receiver.malformed == 4
        assert not both.lost


async def test_bad_session_descriptions() -> None:
    """Text that is no SDP, or that offers no Opus, is a ValueError and leaves nothing open."""
    async with pair() as both:
        no_opus = (await both.sender.peer.offer()).replace("opus/48000", "speex/8000")
        for sdp in (
            "",
            "nonsense",
            "v=0\r\nm=audio x",
            no_opus.replace("PCMU", "X").replace("PCMA", "Y").replace("G722", "Z"),
        ):
            receiver = TrackReceiver("t", lambda frame: None, loopback=True)
            with pytest.raises(ValueError, match="unusable session description"):
                await receiver.answer(sdp)
            await receiver.close()


async def test_damaged_session_descriptions() -> None:
    """Whatever is wrong with an offer, it is answered, or refused with ValueError, and closed."""
    random = Random(3)
    async with pair() as both:
        lines = (await both.sender.peer.offer()).splitlines()
    refused = 0
    for _ in range(80):
        damaged = list(lines)
        for _ in range(random.randint(1, 3)):
            at = random.randrange(len(damaged))
            line = damaged.pop(at)
            if random.random() < 0.7:
                cut = random.randrange(len(line) + 1)
                damaged.insert(
                    at, line[:cut] + random.choice(["", "0", " ", "x", "99999999999", ":"]) + line[cut + 1 :]
                )
        receiver = TrackReceiver("t", lambda frame: None, loopback=True)
        try:
            await receiver.answer("\r\n".join(damaged) + "\r\n")
        except ValueError:
            refused += 1
        await receiver.close()
    assert 0 < refused < 80


async def test_says_once_that_the_other_side_is_gone() -> None:
    """The peer closes: `lost` once, with the reason; not when we close ourselves."""
    async with pair() as both:
        await both.connect()
        await both.sender.peer.close()
        async with asyncio.timeout(2):
            await both.gone.wait()
        assert both.lost == ["the other side closed the connection"]
    assert len(both.lost) == 1
    async with pair() as both:
        await both.connect()
        await both.receiver.close()
        await asyncio.sleep(0.1)
        assert both.lost == []


async def test_says_when_no_connection_comes_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers the connectivity checks: `lost` after the deadline."""
    monkeypatch.setattr(connections, "CONNECT_TIMEOUT_S", 0.3)
    async with pair() as both:
        offer = await both.sender.peer.offer()
        await both.receiver.answer(offer)  # the answer never arrives
        await asyncio.sleep(0.6)
        assert both.lost == ["no media connection in 0.3 s"]


@pytest.mark.parametrize("after", [None, 0.0, 0.01, 0.03, 0.05, 0.08, 0.15, 0.4])
async def test_closes_in_time_at_any_moment(after: float | None) -> None:
    """Closed before, while and after connecting: within a second, and all of aiortc's tasks have ended."""
    async with pair() as both:
        offer = await both.sender.peer.offer()
        if after is not None:
            await both.sender.peer.accept(await both.receiver.answer(offer))
            await asyncio.sleep(after)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await both.receiver.close()
        await both.receiver.close()
        assert loop.time() - began < 1.0
        await both.sender.peer.close()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_another_ssrc_is_heard_and_another_codec_is_not() -> None:
    """A sender that begins anew under another SSRC has another clock; packets of no agreed type are counted."""
    async with pair() as both:
        await both.connect()
        await both.send(10)
        (sender,) = both.sender.peer.connection.getSenders()
        before, sender._ssrc = sender._ssrc, sender._ssrc ^ 0xFFFF
        await both.send(10)
        await eventually(lambda: both.samples > 15 * FRAME // 3)
        assert before != sender._ssrc
        assert len({frame.source for frame in both.frames}) == 2
        heard = both.samples
        await sender.transport._send_rtp(
            RtpPacket(payload_type=0, sequence_number=1, payload=b"\xff" * 160).serialize()
        )
        await eventually(lambda: both.receiver.foreign == 1)
        assert (both.receiver.foreign, both.samples) == (1, heard)


async def test_the_other_side_knows_our_fingerprint_before_anything_is_sent() -> None:
    """`agreed` is awaited with the answer; only then are addresses gathered and is the handshake begun."""
    async with pair() as both:
        seen: list[str] = []

        async def agreed(answer: str) -> None:
            assert "a=fingerprint:sha-256" in answer
            assert "a=candidate" not in answer
            await asyncio.sleep(0.1)
            assert not both.connected.is_set()
            seen.append(answer)

        answer = await both.receiver.answer(await both.sender.peer.offer(), agreed)
        await both.sender.peer.accept(answer)
        async with asyncio.timeout(5):
            await both.connected.wait()
        assert len(seen) == 1


async def test_what_is_encrypted_is_said_and_not_heard() -> None:
    """Sound that does not follow the levels its sender says: no frame of it, until it does again; a key was given."""
    async with pair() as both:
        await both.connect()
        (sender,) = both.sender.peer.connection.getSenders()
        number = 0

        async def say(packets: list[tuple[int, bytes]], lock: bool) -> None:
            nonlocal number
            for level, packet in packets:
                sent = locked(packet) if lock else packet
                await sender.transport._send_rtp(with_level(sender._ssrc, number, level, sent))
                number += 1
                if not number % 20:
                    await asyncio.sleep(0.001)

        packets = swelling(300)
        await say(packets, lock=False)
        await eventually(lambda: both.samples == 300 * 320, 20)
        both.receiver._trusted = 0  # 30 s later
        await say(packets * 2, lock=True)
        await eventually(lambda: both.receiver.packets == 900 and both.encrypted > 1, 20)
        heard = len(both.frames)
        await say(packets[:100], lock=True)
        await eventually(lambda: both.receiver.packets == 1000, 20)
        assert len(both.frames) == heard
        await say(packets, lock=False)
        await eventually(lambda: len(both.frames) > heard + 100, 20)
