"""SFU tracks, heard by us and by stock aiortc: `make bench-sfu` writes sfu.md and sfu.json.

A real Janus, a real mediasoup (the example application) and a real WHEP server (Meetecho's, on Janus), each with people
who send a quiet tone with a loud tenth of a second in every one. A listener in a process of its own joins as the bot
does, WHEP once for each stream; its CPU time is taken over a window, and when it has each loud frame as 16 kHz PCM is
compared with when that frame was given to its sender. The second listener is the same with one class exchanged: what is
received comes out of aiortc's own jitter buffer and decoder, and is resampled. Clocks are one (CLOCK_MONOTONIC).

Senders take turns, 5 ms apart. That is the dearest case: packets that come at once wake a process once, for all of
them, and where chance had it so a track cost less. How often the listener slept and was woken stands beside its CPU.

What a packet costs then is decided by the processor's caches, which others use meanwhile: in a loop it takes 20 µs, and
after 5 ms of somebody else's work five times as much. That differs from one process to the next by a quarter. So each
listener is started anew three times, both in turn, and the median stands.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from aiortc.mediastreams import MediaStreamError
from av import AudioResampler
from numpy.typing import NDArray

from bot.audio.frame import AudioFrame
from bot.core.events import PlatformEvent
from bot.platforms import load
from bot.platforms.base import Invitation
from bot.platforms.orders import Orders
from common.audio.pcm import SAMPLE_RATE
from common.webrtc import Peer
from tests.support.servers import janus, mediasoup, whep
from tests.support.servers.singing import FRAME_S, Singer

HERE = Path(__file__).parent
TRACKS, ROUNDS, WINDOW_S, SETTLE_S = 4, 3, 6.0, 2.0
LOUD_EVERY, LOUD_FRAMES = 50, 5
LOUD, QUIET = 16_000.0, 1_000.0
ONSET = 6_000
"""Of a sample: between the two."""
LATE_S = 0.5
"""What comes later than this is another onset."""


class Beacon(Singer):
    """A singer whose every fiftieth frame begins to be loud.

    Args:
        turn: Whose turn between two frames of the first one it is.
    """

    def __init__(self, turn: int = 0) -> None:
        super().__init__(phase=turn * FRAME_S / TRACKS)

    def loudness(self, number: int) -> float:
        """The amplitude of a frame."""
        return LOUD if number % LOUD_EVERY < LOUD_FRAMES else QUIET


class StockReceiver:
    """In place of `bot.drivers.webrtc.TrackReceiver`: what a program that reads `track.recv()` has."""

    def __init__(
        self,
        track_id: str,
        audio: Callable[[AudioFrame], None],
        *,
        loopback: bool = False,
        connected: Callable[[], None] = lambda: None,
        lost: Callable[[str], None] = lambda reason: None,
        encrypted: Callable[[], None] = lambda: None,
        ice_servers: Sequence[Any] = (),
    ) -> None:
        self._track_id, self._audio = track_id, audio
        self._peer = Peer(loopback, connected, lost, ice_servers)
        self._transceiver = self._peer.connection.addTransceiver("audio", direction="recvonly")
        self._reading: asyncio.Task[None] | None = None
        self.packets = 0

    async def offer(self) -> str:
        """Offers."""
        return await self._peer.offer()

    async def accept(self, answer: str) -> None:
        """Takes the answer to it, and reads."""
        await self._peer.accept(answer)
        self._reading = asyncio.create_task(self._read())

    async def answer(self, offer: str, agreed: Callable[[str], Awaitable[None]] | None = None) -> str:
        """Answers an offer, and reads."""
        answer = await self._peer.answer(offer, agreed)
        self._reading = asyncio.create_task(self._read())
        return answer

    async def _read(self) -> None:
        resampler, position = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE), 0
        try:
            while True:
                for frame in resampler.resample(await self._transceiver.receiver.track.recv()):  # type: ignore[arg-type]
                    pcm: NDArray[np.int16] = frame.to_ndarray()[0]
                    self.packets += 1
                    self._audio(AudioFrame(self._track_id, pcm, position, 1, time.monotonic()))
                    position += pcm.size
        except MediaStreamError:
            pass

    async def close(self) -> None:
        """Ends the connection."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._peer.close()


class Ear:
    """A listener that notes when loudness begins.

    Args:
        only: Name of the one track, where its platform has none for it.
    """

    def __init__(self, only: str | None = None) -> None:
        self._only = only
        self.onsets: dict[str, list[float]] = {}
        self.samples: dict[str, int] = {}
        self._was_loud: dict[str, bool] = {}

    def event(self, event: PlatformEvent) -> None:
        """Nothing is to be known of it."""

    def audio(self, frame: AudioFrame) -> None:
        """A frame."""
        track = self._only or frame.track_id
        is_loud = (
            frame.pcm.item(frame.pcm.argmax()) > ONSET
        )  # of all ways the one that costs least: it is measured, too
        if is_loud and not self._was_loud.get(track, True):
            self.onsets.setdefault(track, []).append(time.monotonic())
        self._was_loud[track] = is_loud
        self.samples[track] = self.samples.get(track, 0) + frame.pcm.size


async def listen(platform: str, given: list[dict[str, Any]], is_stock: bool) -> dict[str, Any]:
    """Joins, listens for the window, leaves."""
    if is_stock:
        import bot.platforms.sfu.tracks as tracks
        import bot.platforms.whep.attendance as stream

        vars(tracks)["TrackReceiver"] = vars(stream)["TrackReceiver"] = StockReceiver
    plugin = load(platform)
    assert plugin.settings_model is not None
    orders, ears, attending = Orders(), [], []
    for one in given:
        settings = plugin.settings_model.model_validate(one["settings"])
        ears.append(Ear(one.get("track")))
        invitation = Invitation(one["url"], "bench", "Bench", settings=settings)
        attending.append(asyncio.create_task(plugin.attend(invitation, ears[-1], orders)))
    while sum(len(ear.samples) for ear in ears) < TRACKS:
        await asyncio.sleep(0.05)
        for each in attending:
            if each.done():
                each.result()
    await asyncio.sleep(SETTLE_S)
    for ear in ears:
        ear.onsets.clear()
    before = _spent(ears)
    await asyncio.sleep(WINDOW_S)
    cpu, woken, samples = (now - then for now, then in zip(_spent(ears), before, strict=True))
    onsets = {track: times for ear in ears for track, times in ear.onsets.items()}
    orders.leave()
    await asyncio.gather(*attending)
    return {"cpu": cpu, "woken": woken, "onsets": onsets, "seconds": samples / SAMPLE_RATE}


def _spent(ears: list[Ear]) -> tuple[float, int, int]:
    """CPU seconds, wake-ups and samples up to now."""
    woken = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    return time.process_time(), woken, sum(sum(ear.samples.values()) for ear in ears)


@dataclass(frozen=True)
class Result:
    """What one kind of listener needed at one server."""

    server: str
    receiver: str
    cpu_percent_per_track: float
    """Median of all rounds."""
    cpu_least: float
    cpu_most: float
    woken_per_packet: float
    latency_median_ms: float
    latency_p95_ms: float
    heard_percent: float


def result(server: str, receiver: str, rounds: list[dict[str, Any]], beacons: dict[str, Beacon]) -> Result:
    """Compares what was heard of each track with what was sent: an onset belongs to the latest loud frame before it."""
    delays = []
    for track, onsets in (heard for said in rounds for heard in said["onsets"].items()):
        moments = np.array(beacons[track].begun)
        places = np.searchsorted(moments, onsets) - 1
        delays += [onset - moments[place] for onset, place in zip(onsets, places, strict=True) if place >= 0]
    delays = [delay for delay in delays if delay < LATE_S]
    cpu = sorted(round(100 * said["cpu"] / WINDOW_S / TRACKS, 2) for said in rounds)
    seconds = sum(said["seconds"] for said in rounds)
    return Result(
        *(server, receiver, statistics.median(cpu), cpu[0], cpu[-1]),
        round(sum(said["woken"] for said in rounds) * FRAME_S / seconds, 2),
        round(1000 * float(statistics.median(delays)), 1),
        round(1000 * float(np.percentile(delays, 95)), 1),
        round(100 * seconds / WINDOW_S / TRACKS / len(rounds), 1),
    )


Meeting = tuple[list[dict[str, Any]], dict[str, Beacon]]
"""Invitations, and who sings on which track."""
PEOPLE = {f"p{turn}": partial(Beacon, turn) for turn in range(TRACKS)}


@asynccontextmanager
async def janus_meeting() -> AsyncIterator[Meeting]:
    """Janus with people in a room."""
    with janus.janus_server() as server:
        async with janus.directed_room(server) as room:
            beacons: dict[str, Beacon] = {}
            for who, beacon in PEOPLE.items():
                await room.join(who, who, publishes=False)
                beacons[f"{who}/0"] = await room.guests[who].publish(beacon)
            yield [{"url": f"janus+{server.url}", "settings": {"room": room.name}}], beacons


@asynccontextmanager
async def mediasoup_meeting() -> AsyncIterator[Meeting]:
    """The mediasoup example with people in a room."""
    with mediasoup.mediasoup_server() as server:
        async with mediasoup.directed_room(server) as room:
            beacons: dict[str, Beacon] = {}
            for who, make in PEOPLE.items():
                await room.join(who, who, publishes=False)
                beacon = await room.guests[who].publish(make)
                beacons[room.guests[who].producer] = beacon
            yield [{"url": f"mediasoup+{server.url}", "settings": {"room": room.name}}], beacons


@asynccontextmanager
async def whep_meeting() -> AsyncIterator[Meeting]:
    """A WHEP server with an endpoint for each person's stream; it offers, and we answer (406)."""
    with whep.whep_server() as server:
        async with janus.directed_room(server.janus) as room:
            given, beacons = [], {}
            for who, beacon in PEOPLE.items():
                await room.join(who, who, publishes=False)
                beacons[who] = await room.guests[who].publish(beacon)
                path = await server.make(id=who, plugin="videoroom", room=room.name, feed=who)
                given.append({"url": f"whep+{server.url}{path}", "settings": {"participant": who}, "track": who})
            yield given, beacons


MEETINGS = {"janus": janus_meeting, "mediasoup": mediasoup_meeting, "whep": whep_meeting}


async def measure(platform: str) -> list[Result]:
    """Both listeners in turn, in one room."""
    said: dict[str, list[dict[str, Any]]] = {"ours": [], "stock aiortc": []}
    async with MEETINGS[platform]() as (given, beacons):
        for number, beacon in enumerate(beacons.values()):
            beacon.hertz = 400.0 + 50 * number
        for receiver in [*said] * ROUNDS:
            command = [sys.executable, "-m", "bench.sfu", "--listen", platform, json.dumps(given), receiver]
            child = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
            out, _ = await child.communicate()
            assert child.returncode == 0, receiver
            said[receiver].append(json.loads(out.splitlines()[-1]))
        results = [result(platform, receiver, rounds, beacons) for receiver, rounds in said.items()]
    print(*results, sep="\n", file=sys.stderr)
    return results


def report(kept: dict[str, Any]) -> str:
    """The results as Markdown."""
    rows = [
        f"| {one.server} | {one.receiver} | {one.cpu_percent_per_track} % ({one.cpu_least} to {one.cpu_most}) "
        f"| {one.woken_per_packet} | {one.latency_median_ms} / {one.latency_p95_ms} ms | {one.heard_percent} % |"
        for one in (Result(**row) for row in kept["results"])
    ]
    return f"""# SFU tracks, heard by us and by stock aiortc

`make bench-sfu`, three minutes on a quiet machine: {TRACKS} tracks, their packets {1000 * FRAME_S / TRACKS:g} ms apart,
windows of {WINDOW_S:g} s; load average at the beginning {kept["load"]} on {kept["processors"]} processors.
CPU is that of the listener's whole process, signalling included, by track: the median of {ROUNDS} listeners, and the
least and the most. How often the process slept and was woken for a packet decides much of it: at 1 every packet wakes
it, which is what people who speak by themselves do. So does what others leave in the processor's caches meanwhile;
between the servers a listener does nothing that differs. Latency is from the moment in which a frame is given to its
encoder, through the SFU, to its samples at 16 kHz.

| server | receiver | CPU of a core, per track | woken, per packet | latency, median / p95 | heard of what was sent |
|---|---|---|---|---|---|
{chr(10).join(rows)}
"""


def main() -> None:
    """Measures everything, or is one of the listeners."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", nargs=3, metavar=("PLATFORM", "INVITATION", "RECEIVER"))
    options = parser.parse_args()
    if options.listen:
        platform, given, receiver = options.listen
        print(json.dumps(asyncio.run(listen(platform, json.loads(given), receiver != "ours"))))
        return
    kept: dict[str, Any] = {"load": round(os.getloadavg()[0], 1), "processors": os.cpu_count()}
    kept["results"] = [asdict(one) for platform in MEETINGS for one in asyncio.run(measure(platform))]
    (HERE / "sfu.json").write_text(json.dumps(kept, indent=1) + "\n")
    (HERE / "sfu.md").write_text(report(kept))


if __name__ == "__main__":
    main()
