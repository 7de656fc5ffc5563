"""Singing: a guest's microphone that picks up a tone, as Opus packets into a peer connection of aiortc's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np

from common.audio.opus import OpusEncoder
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
