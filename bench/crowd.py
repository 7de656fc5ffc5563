"""Crowd of a LiveKit room, for `bench.livekit`, in a process of its own: `python -m bench.crowd '["ROOM", PEOPLE]'`.

PEOPLE are pairs of an id and a kind: `muted`, `silent` (open, with nothing to say), `turns` or `talking`. The server
is named in the environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from livekit import rtc

from rehearsal.clips import CLIP_RATE, Clip, load_clip, manifest
from rehearsal.livekit.guest import guest_token
from rehearsal.livekit.server import LiveKitServer

ROOM_NOISE_DBFS = -68.0
"""Of a microphone that is open while nobody speaks, after the noise suppression that every client has."""
SILENT_PIECE_MS, SPOKEN_PIECE_MS = 500, 40
"""How much is handed to the SDK at once: whoever speaks needs an exact clock, the others should cost little."""
AHEAD = 5
"""Pieces handed to the SDK before they are due. Where it has none, all that follows is later: with two some 0.09 s of
the guests' own were counted as the bot's."""
PAUSE_S = 1.4
"""Between two turns: longer than a final takes."""


class Microphone:
    """Somebody in the room whose microphone is never without a sample: quiet noise, and what is to be said."""

    def __init__(self, identity: str, kind: str) -> None:
        self.identity, self.kind = identity, kind
        self._room = rtc.Room()
        self._piece = CLIP_RATE // 1000 * (SILENT_PIECE_MS if kind == "silent" else SPOKEN_PIECE_MS)
        self._source = rtc.AudioSource(CLIP_RATE, 1, queue_size_ms=2 * AHEAD * self._piece * 1000 // CLIP_RATE)
        noise = np.random.default_rng(len(identity)).standard_normal(CLIP_RATE * 2)
        self._noise = (noise * 32768 * 10 ** (ROOM_NOISE_DBFS / 20)).round().astype(np.int16)
        self._to_say = np.empty(0, np.int16)
        self._at = 0
        self._due = 0.0

    async def join(self, server: LiveKitServer, room: str) -> None:
        """Enters the room and opens the microphone."""
        token = guest_token(server, room, self.identity, self.identity.title())
        await self._room.connect(server.url, token, rtc.RoomOptions(auto_subscribe=False))
        track = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
        if self.kind == "muted":
            track.mute()
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        await self._room.local_participant.publish_track(track, options)

    async def run(self) -> None:
        """Hands out samples in real time, `AHEAD` pieces ahead, for ever."""
        length = self._piece / CLIP_RATE
        self._due = time.monotonic()
        while True:
            said, self._to_say = self._to_say[: self._piece], self._to_say[self._piece :]
            pcm = np.resize(np.roll(self._noise, -self._at), self._piece)
            pcm[: len(said)] += said
            self._at = (self._at + self._piece) % len(self._noise)
            self._due = max(self._due, time.monotonic())  # the SDK had none: it has waited, and goes on from here
            await self._source.capture_frame(rtc.AudioFrame(pcm.tobytes(), CLIP_RATE, 1, len(pcm)))
            self._due += length
            await asyncio.sleep(self._due - time.monotonic() - AHEAD * length)

    def say(self, clip: Clip) -> float:
        """Says a clip at once; returns the Unix second at which its speech will end."""
        self._to_say = clip.pcm
        return time.time() + (self._due - time.monotonic()) + clip.speech[1] / CLIP_RATE


async def crowd(server: LiveKitServer, room: str, people: list[tuple[str, str]]) -> None:
    """Brings them into the room and says `ready`; a line on standard input makes them speak, its end makes them go."""
    microphones = [Microphone(identity, kind) for identity, kind in people]
    for microphone in microphones:
        await microphone.join(server, room)
    running = [asyncio.create_task(microphone.run()) for microphone in microphones if microphone.kind != "muted"]
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    gone = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    taking_turns = [microphone for microphone in microphones if microphone.kind == "turns"]
    if taking_turns:
        running.append(asyncio.create_task(take_turns(taking_turns)))
    running += [asyncio.create_task(talk(one)) for one in microphones if one.kind == "talking"]
    await asyncio.wait({gone, *running}, return_when=asyncio.FIRST_COMPLETED)
    os._exit(not gone.done())  # the room closes with its server


def clips() -> list[Clip]:
    """The bundled ones."""
    return [load_clip(name, Path()) for name in manifest()]


async def take_turns(people: list[Microphone]) -> None:
    """One after the other says a sentence; each is a line of output."""
    for number, clip in enumerate(clips() * 10):
        who = people[number % len(people)]
        begun = time.time()
        ends = who.say(clip)
        await asyncio.sleep(ends - time.time())
        print(json.dumps({"who": who.identity, "begun": begun, "ends": ends, "text": clip.text}), flush=True)
        await asyncio.sleep(PAUSE_S)


async def talk(who: Microphone) -> None:
    """Says a sentence after the other."""
    for clip in clips() * 10:
        await asyncio.sleep(who.say(clip) - time.time())


def main() -> None:
    """Goes where the command line says."""
    room, people = json.loads(sys.argv[1])
    server = LiveKitServer(*(os.environ[name] for name in ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")))
    asyncio.run(crowd(server, room, people))


if __name__ == "__main__":
    main()
