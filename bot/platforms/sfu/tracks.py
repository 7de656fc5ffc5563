"""Tracks that are to be heard: a peer connection each, made with the track, renewed when it breaks, gone with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import structlog

from bot.drivers.webrtc import TrackReceiver
from bot.platforms.sfu.line import LineBroken
from bot.platforms.sfu.room import Encrypted, Refused, SfuRoom

if TYPE_CHECKING:
    from bot.audio.frame import AudioFrame

CONNECT_PATIENCE_S = (3.0, 6.0, 9.0)
"""From the agreement to media that can flow, before it is tried again; the last one repeats."""
AGAIN_PAUSES_S = (0.2, 1.0, 2.0, 5.0, 15.0, 30.0)
"""Before a track is asked for again that was refused, or whose media ended; the last one repeats."""

log = structlog.get_logger(__name__)


class Tracks:
    """The tracks of one connection to a room.

    Args:
        hear: Called with every frame.
        encrypted: Called with a track that cannot be heard because it is end-to-end encrypted.
        loopback: The server is on this machine's loopback interface.
    """

    def __init__(self, hear: Callable[[AudioFrame], None], encrypted: Callable[[str], None], *, loopback: bool) -> None:
        self._hear, self._encrypted, self._loopback = hear, encrypted, loopback
        self._wanted: set[str] = set()
        self._renewed: dict[str, asyncio.Event] = {}
        self._hearing: dict[str, asyncio.Task[None]] = {}
        self._ending: set[str] = set()  # of those
        self._changed = asyncio.Event()
        self._closing = False

    def want(self, tracks: set[str]) -> None:
        """Exactly these are to be heard."""
        if tracks != self._wanted:
            self._wanted = tracks
            self._changed.set()

    def renew(self, track_id: str) -> None:
        """Gives a track up and asks for it again; one that is not heard is none of ours."""
        if track_id in self._renewed:
            self._renewed[track_id].set()

    async def run(self, room: SfuRoom) -> None:
        """Keeps what is heard at what is wanted. Raises LineBroken when the room's connection is gone."""
        while True:
            for track in self._hearing.keys() - self._wanted - self._ending:
                self._hearing[track].cancel()  # once: it takes its time to end in order
                self._ending.add(track)
            for track in self._wanted - self._hearing.keys():
                self._hearing[track] = asyncio.create_task(self._keep(room, track))
            self._changed.clear()
            changed = asyncio.create_task(self._changed.wait())
            try:
                await asyncio.wait({changed, *self._hearing.values()}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                changed.cancel()
            for track, hearing in list(self._hearing.items()):
                if hearing.done():
                    del self._hearing[track]
                    self._ending.discard(track)
                    if not hearing.cancelled():
                        hearing.result()

    async def close(self) -> None:
        """Ends every media connection; the room's own is about to end, and what it knows of us with it."""
        self._closing = True
        for hearing in self._hearing.values():
            hearing.cancel()
        await asyncio.gather(*self._hearing.values(), return_exceptions=True)

    async def _keep(self, room: SfuRoom, track: str) -> None:
        """Hears one track until cancelled."""
        attempt = 0
        while True:
            self._renewed[track] = asyncio.Event()
            patience = CONNECT_PATIENCE_S[min(attempt, len(CONNECT_PATIENCE_S) - 1)]
            try:
                if await self._connection(room, track, self._renewed[track], patience):
                    attempt = 0
            except (Refused, ValueError, TimeoutError) as error:
                log.warning("track_not_heard", track=track, error=str(error) or "no answer in time")
            except Encrypted:
                self._encrypted(track)
                await asyncio.Event().wait()
            finally:
                del self._renewed[track]
            await asyncio.sleep(AGAIN_PAUSES_S[min(attempt, len(AGAIN_PAUSES_S) - 1)])
            attempt += 1

    async def _connection(self, room: SfuRoom, track: str, renewed: asyncio.Event, patience: float) -> bool:
        """One connection to its end. Whether anything came over it."""
        connected = False

        def up() -> None:
            nonlocal connected
            connected = True

        def lost(reason: str) -> None:
            log.info("track_connection_lost", track=track, reason=reason)
            renewed.set()

        receiver = TrackReceiver(
            *(track, self._hear),
            loopback=self._loopback,
            connected=up,
            lost=lost,
            encrypted=partial(self._encrypted, track),
        )
        try:
            await room.subscribe(track, receiver)
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await renewed.wait()
            if not connected and not renewed.is_set():
                raise Refused(f"no media connection within {patience:g} s")
            await renewed.wait()
            return receiver.packets > 0
        finally:
            try:
                if not self._closing:
                    with suppress(LineBroken):
                        await room.unsubscribe(track)
            finally:
                await receiver.close()
