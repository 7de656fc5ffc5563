"""Singing: a guest's microphone that picks up a tone, as Opus packets into a peer connection of aiortc's.

aiortc sends no levels (RFC 6464) beside packets that are Opus already: who is to have some makes the whole packet
(`with_level`).
"""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections.abc import Callable

import numpy as np

from common.audio.opus import OpusEncoder
from common.audio.pcm import dbfs
from rehearsal.webrtc.peer import TrackSender

FRAME_SAMPLES, FRAME_S = 320, 0.02
TICKS = 960


class Singer:
    """Sends a tone, 20 ms at a time, for as long as it is not closed.

    Args:
        lost: Called when the media connection is gone.
        phase: When in each 20 ms of the loop's clock a frame is sent, seconds; None: as it comes.
    """

    def __init__(self, lost: Callable[[str], None] = lambda reason: None, phase: float | None = None) -> None:
        self.sender = TrackSender(False, lost)
        self.hertz = 0.0
        self.begun: list[float] = []
        """When frames louder than the one before them were given to the encoder: seconds on the loop's clock."""
        self._phase = phase
        self._singing = asyncio.create_task(self._sing())

    def loudness(self, number: int) -> float:
        """The amplitude of a frame."""
        return 8000.0

    async def _sing(self) -> None:
        loop, encoder, number = asyncio.get_running_loop(), OpusEncoder(), 0
        if self._phase is not None:
            await asyncio.sleep((self._phase - loop.time()) % FRAME_S)
        began, before = loop.time(), self.loudness(0)
        while True:
            loudness = self.loudness(number)
            if loudness > before:
                self.begun.append(loop.time())
            before = loudness
            t = (np.arange(FRAME_SAMPLES) + number * FRAME_SAMPLES) / 16_000
            payload = encoder.encode((loudness * np.sin(2 * np.pi * self.hertz * t)).astype(np.int16))
            self.sender.push(number * TICKS, payload)
            number += 1
            await asyncio.sleep(max(0.0, began + number * FRAME_S - loop.time()))

    async def close(self) -> None:
        """Falls silent and hangs up."""
        self._singing.cancel()
        await asyncio.gather(self._singing, return_exceptions=True)
        await self.sender.peer.close()


class SecretSinger(Singer):
    """Swells and fades, says how loud it is, and is encrypted while `is_secret`, as browsers do it."""

    is_secret = True

    async def _sing(self) -> None:
        await self.sender.opened.wait()
        (sender,) = self.sender.peer.connection.getSenders()
        packets, number = swelling(50), 0
        while True:
            level, packet = packets[number % len(packets)]
            sent = locked(packet) if self.is_secret else packet
            await sender.transport._send_rtp(with_level(sender._ssrc, number, level, sent))
            number += 1
            await asyncio.sleep(FRAME_S)


def locked(packet: bytes) -> bytes:
    """An encrypted Opus packet: its first byte, what a cipher makes of the others, tag, nonce and a key's number."""
    return packet[:1] + secrets.token_bytes(len(packet) + 29)


def swelling(count: int) -> list[tuple[int, bytes]]:
    """Level and packet of frames of a sine that swells and fades once a second."""
    encoder, found = OpusEncoder(48_000), []
    for number in range(count):
        loudness = 12_000 * (0.5 + 0.5 * np.sin(2 * np.pi * number / 50)) ** 4
        wave = (loudness * np.sin(2 * np.pi * 440 * np.arange(TICKS) / 48_000)).astype(np.int16)
        found.append((max(-127, round(dbfs(wave))) if wave.any() else -127, encoder.encode(wave)))
    return found


def with_level(ssrc: int, number: int, level: int, payload: bytes) -> bytes:
    """An RTP packet with the header extension that aiortc agrees on (id 2)."""
    return struct.pack("!BBHIIHHBBxx", 0x90, 96, number, number * TICKS, ssrc, 0xBEDE, 1, 2 << 4, -level) + payload
