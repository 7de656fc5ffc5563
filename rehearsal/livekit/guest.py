"""A scripted person in a real LiveKit room: joins, publishes a microphone, speaks samples, mutes, renames, leaves."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
from livekit import rtc
from numpy.typing import NDArray

from common.imports import without
from rehearsal.clips import CLIP_RATE
from rehearsal.livekit.server import LiveKitServer

with without("cryptography"):  # for signatures that LiveKit does not know
    import jwt

QUEUE_MS = 200
"""How far ahead of its playing audio is handed to the SDK."""
CHUNK_SAMPLES = CLIP_RATE // 20  # 50 ms


def guest_token(server: LiveKitServer, room: str, identity: str, name: str = "", **claims: Any) -> str:
    """A token to take part with; `claims` go beside or over the usual ones (`kind`, `exp`, `video`…)."""
    now = int(time.time())
    grants = {"room": room, "roomJoin": True, "canPublish": True, "canSubscribe": True, "canUpdateOwnMetadata": True}
    usual = {"iss": server.api_key, "sub": identity, "name": name, "nbf": now - 60, "exp": now + 3600}
    return jwt.encode(
        usual | claims | {"video": grants | claims.get("video", {})}, server.api_secret, algorithm="HS256"
    )


class Guest:
    """One participant with at most one microphone at a time; not reusable after `leave`.

    Args:
        identity: Unique in the room.
        name: Display name.
        key: Encrypts what is published, end to end; None: it is clear.
    """

    def __init__(self, identity: str, name: str, key: str | None = None) -> None:
        self.identity = identity
        self.name = name
        self.room = rtc.Room()
        self._key = key
        self._source: rtc.AudioSource | None = None
        self._track: rtc.LocalAudioTrack | None = None
        self._sid = ""
        self.hole = 0.0
        """Seconds in what was said last for which there was nothing to play: our process was held up."""

    async def join(self, server: LiveKitServer, room: str, **claims: Any) -> None:
        """Enters the room; hears nothing. `claims` as in `guest_token`. Raises livekit.rtc.ConnectError."""
        token = guest_token(server, room, self.identity, self.name, **claims)
        options = rtc.RoomOptions(auto_subscribe=False)
        if self._key is not None:
            options.encryption = rtc.E2EEOptions(rtc.KeyProviderOptions(shared_key=self._key.encode()))
        await self.room.connect(server.url, token, options)

    async def publish(
        self, muted: bool = False, source: rtc.TrackSource.ValueType = rtc.TrackSource.SOURCE_MICROPHONE
    ) -> str:
        """Opens the microphone and returns its track id; with one open already, a second one that replaces it here."""
        self._source = rtc.AudioSource(CLIP_RATE, 1, queue_size_ms=QUEUE_MS)
        self._track = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
        if muted:
            self._track.mute()
        options = rtc.TrackPublishOptions(source=source)
        publication = await self.room.local_participant.publish_track(self._track, options)
        self._sid = publication.sid
        return self._sid

    @property
    def queued(self) -> float:
        """Seconds of audio handed over and not yet played."""
        return self._source.queued_duration if self._source is not None else 0.0

    @property
    def speaks(self) -> bool:
        """Whether a microphone is open."""
        return self._source is not None

    async def unpublish(self) -> None:
        """Closes the microphone opened last."""
        await self.room.local_participant.unpublish_track(self._sid)
        self._track = self._source = None

    async def speak(self, pcm: NDArray[np.int16], wait: bool = True) -> float:
        """Says 48 kHz mono samples in real time.

        Args:
            pcm: int16 samples, shape (n,).
            wait: Return when the last one is out, else up to `QUEUE_MS` earlier, so that more can follow without a gap.

        Returns:
            Monotonic time at which the first sample went out.
        """
        source = self._source
        if source is None:
            raise RuntimeError(f"{self.identity} speaks without a microphone")
        start = lasts = time.monotonic()
        self.hole = 0.0
        for at in range(0, len(pcm), CHUNK_SAMPLES):
            chunk = pcm[at : at + CHUNK_SAMPLES]
            self.hole += max(time.monotonic() - lasts, 0.0) if at else 0.0
            await _give(source, rtc.AudioFrame(chunk.tobytes(), CLIP_RATE, 1, len(chunk)))
            lasts = time.monotonic() + source.queued_duration
        if wait:
            await source.wait_for_playout()
        return start

    def mute(self) -> None:
        """Mutes the microphone opened last."""
        if self._track is not None:
            self._track.mute()

    def unmute(self) -> None:
        """Unmutes the microphone opened last."""
        if self._track is not None:
            self._track.unmute()

    async def rename(self, name: str) -> None:
        """Changes the display name."""
        await self.room.local_participant.set_name(name)
        self.name = name

    async def leave(self) -> None:
        """Leaves the room, if in it."""
        await self.room.disconnect()
        if self._source is not None:
            await self._source.aclose()


async def _give(source: rtc.AudioSource, frame: rtc.AudioFrame) -> None:
    """Hands a frame over to its end, cancelled or not: until then the SDK reads its memory, and refuses the next."""
    giving = asyncio.ensure_future(source.capture_frame(frame))
    try:
        await asyncio.shield(giving)
    except asyncio.CancelledError:
        await asyncio.wait({giving})
        if not giving.cancelled():
            giving.exception()
        raise
