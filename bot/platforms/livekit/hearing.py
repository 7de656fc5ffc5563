"""Hearing in a LiveKit room: the decoded audio of all its tracks, read on one subscription to the SDK's events.

The SDK's `AudioStream` does it with a subscription for each track, and every frame of every track wakes them all: of 33
tracks, 33 tasks 20 times a second each, most of what the whole bot cost (bench/livekit.md). So the native streams are
asked for as it asks for them, and what comes is handed out here, by stream. That is not the SDK's public face: it is
pinned, and without these names nothing is heard in any of the tests.

Clock: what comes has been through libwebrtc's jitter buffer (NetEq), which plays at an even pace 33-52 ms after the
packets arrive and stretches or repeats instead of leaving holes. So positions count played samples without gaps, and
`arrival` takes off the least that this costs; the rest stays within the 150 ms that we promise for this platform.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from livekit import rtc
from livekit.rtc._ffi_client import FfiClient, FfiHandle
from livekit.rtc._proto.audio_frame_pb2 import AudioStreamEvent, AudioStreamType
from livekit.rtc._proto.ffi_pb2 import FfiEvent, FfiRequest, FfiResponse

from bot.audio.frame import AudioFrame
from common.audio.hysteresis import FRAME_SAMPLES
from common.audio.pcm import SAMPLE_RATE

FRAME_MS = 1000 * FRAME_SAMPLES // SAMPLE_RATE
"""What the speech gate takes at once: it never waits for the rest of a frame."""
PLAYOUT_DELAY_S = 0.033
"""The shortest stay in NetEq that we measured."""
LAST_FRAMES_TIMEOUT_S = 0.5
"""At the end: seconds for the frames that are under way, which the SDK keeps until somebody has taken them."""
STATS_TIMEOUT_S = 1.0


@dataclass(slots=True)
class _Stream:
    track_id: str
    track: rtc.Track
    handle: FfiHandle
    """Disposed of: no more is wanted. What is under way still comes."""
    source: int
    position: int = 0


class Hearing:
    """What is heard in one room. Frames wait in the SDK's memory as long as the event loop does not turn: up to 32 kB a
    second for each track, for as long as the bot's watchdog lets it.

    Args:
        take: Gets each frame, on the event loop.
        sources: Numbers for the clocks of what is heard: each another, also after a return to the room.
    """

    def __init__(self, take: Callable[[AudioFrame], None], sources: Iterator[int]) -> None:
        self._take = take
        self._followed: dict[str, _Stream] = {}
        self._streams: dict[int, _Stream] = {}  # by the number of their handle, until their last frame has come
        self._sources = sources
        self._events = FfiClient.instance.queue.subscribe(asyncio.get_running_loop(), filter_fn=_is_audio)

    def follow(self, audible: Mapping[str, rtc.Track]) -> None:
        """Hears exactly these tracks from now on, by their ids; nothing is read of any other."""
        for track_id, stream in list(self._followed.items()):
            if audible.get(track_id) is not stream.track:
                stream.handle.dispose()
                del self._followed[track_id]
        for track_id, track in audible.items():
            if track_id not in self._followed:
                stream = _Stream(track_id, track, FfiHandle(_ask_for(track)), next(self._sources))
                self._followed[track_id] = self._streams[stream.handle.handle] = stream

    async def run(self) -> None:
        """Hands out what is heard, until it is cancelled."""
        while True:
            self._hand_out(await self._next())

    async def close(self) -> None:
        """Hears nothing any more, and leaves nothing in the SDK's memory. To be called in any case."""
        self.follow({})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_FRAMES_TIMEOUT_S):
                while self._streams:
                    self._hand_out(await self._next())
        FfiClient.instance.queue.unsubscribe(self._events)

    async def _next(self) -> AudioStreamEvent:
        event: FfiEvent = await self._events.get()
        return event.audio_stream_event

    def _hand_out(self, event: AudioStreamEvent) -> None:
        stream = self._streams.get(event.stream_handle)
        if stream is None:
            return  # of another room in this process
        if not event.HasField("frame_received"):
            del self._streams[event.stream_handle]
            return
        heard, arrival = event.frame_received.frame, time.monotonic()
        samples = heard.info.samples_per_channel
        pcm = np.frombuffer(ctypes.string_at(heard.info.data_ptr, samples * np.dtype(np.int16).itemsize), np.int16)
        FfiHandle(heard.handle.id).dispose()
        if self._followed.get(stream.track_id) is stream:
            earliest = arrival - samples / SAMPLE_RATE - PLAYOUT_DELAY_S
            self._take(AudioFrame(stream.track_id, pcm, stream.position, stream.source, earliest))
            stream.position += samples


def _is_audio(event: FfiEvent) -> bool:
    """Called in the SDK's thread, for all that it has to say."""
    return event.WhichOneof("message") == "audio_stream_event"


def _ask_for(track: rtc.Track) -> int:
    """Opens a native stream of this track: 16 kHz mono in frames of `FRAME_MS`; returns the number of its handle."""
    request = FfiRequest()
    stream = request.new_audio_stream
    stream.track_handle = track._ffi_handle.handle
    stream.type = AudioStreamType.AUDIO_STREAM_NATIVE
    stream.sample_rate, stream.num_channels, stream.frame_size_ms = SAMPLE_RATE, 1, FRAME_MS
    stream.queue_size_frames = 0  # no bound of its own: what is kept longer than we take to look is in the queue above
    answer: FfiResponse = FfiClient.instance.request(request)
    return answer.new_audio_stream.stream.handle.id


async def arrived(track: rtc.Track) -> tuple[int, int]:
    """How many packets of it have come, and how many samples were decoded of them; 0 where the SDK does not say."""
    (stats,) = await asyncio.gather(asyncio.wait_for(track.get_stats(), STATS_TIMEOUT_S), return_exceptions=True)
    if isinstance(stats, BaseException):
        return 0, 0
    inbound = [one.inbound_rtp for one in stats if one.WhichOneof("stats") == "inbound_rtp"]
    packets = sum(one.received.packets_received for one in inbound)
    return packets, sum(one.inbound.jitter_buffer_emitted_count for one in inbound)


class Sending:
    """Whether a room's tracks send. Those that do not stay subscribed; the SDK has no method for it."""

    def __init__(self) -> None:
        self._asked: dict[
            str, tuple[rtc.RemoteTrackPublication, bool]
        ] = {}  # what was asked for last; at first they do

    def want(self, publications: Iterable[rtc.RemoteTrackPublication], sending: Container[str]) -> None:
        """Asks the server to send those, and nothing of the rest, where we are subscribed; forgets all others.

        Full reconnects bring the same track as a new publication, which sends.
        """
        before, self._asked = self._asked, {}
        for one in publications:
            known, asked = before.get(one.sid, (one, True))
            asked, sends = asked or known is not one, one.sid in sending
            if one.track is not None and asked is not sends:
                request = FfiRequest()
                request.enable_remote_track_publication.track_publication_handle = one._ffi_handle.handle
                request.enable_remote_track_publication.enabled = asked = sends
                FfiClient.instance.request(request)
            self._asked[one.sid] = (one, asked)
