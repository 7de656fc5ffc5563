"""Our Opus path beside stock aiortc's, on the same packets: `python -m bench.media` writes media.md and media.json.

Time is simulated (packets have arrival times, nobody sleeps): only CPU and memory depend on the machine. aiortc's side
is what its audio receiver does, without its thread and queues: `JitterBuffer(16, 4)`, its Opus decoder, and the
`AudioResampler` to 16 kHz mono that a listener needs.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
import wave
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from aiortc.codecs.opus import OpusDecoder as StockDecoder
from aiortc.jitterbuffer import JitterBuffer as StockBuffer
from aiortc.rtp import RtpPacket as StockPacket
from av import AudioFrame, AudioResampler

from bot.codecs.receiver import OpusReceiver, Pcm
from common.audio.opus import OpusEncoder, version

HERE = Path(__file__).parent
CLIPS = HERE.parent / "rehearsal" / "clips"
FRAME = 320
FRAME_TIME = 0.02
SEEDS = (1, 2, 3, 4, 5)
TRACKS_FOR_MEMORY = 400


@dataclass(frozen=True)
class Network:
    """What happens on the way. Delays in seconds."""

    name: str
    loss: float = 0.0
    burst: float = 1.0
    """Mean length of a loss, packets."""
    jitter: float = 0.0
    """Mean of an exponential delay that keeps the order."""
    reorder: float = 0.0
    """Share of packets that come 25 to 55 ms late, behind others."""


NETWORKS = (
    Network("clean"),
    Network("jitter 8 ms", jitter=0.008),
    Network("2 % reordered", jitter=0.003, reorder=0.02),
    Network("1 % loss", loss=0.01, jitter=0.003),
    Network("5 % loss", loss=0.05, jitter=0.003),
    Network("10 % loss", loss=0.10, jitter=0.003),
    Network("5 % loss in bursts of 3", loss=0.05, burst=3.0, jitter=0.003),
    Network("5 % loss, 2 % reordered", loss=0.05, jitter=0.008, reorder=0.02),
)

NETWORK = {network.name: network for network in NETWORKS}


@dataclass(frozen=True)
class Delivery:
    """One packet's arrival."""

    index: int
    at: float


@dataclass
class Heard:
    """What one path made of the packets."""

    own: dict[int, float] = field(default_factory=dict)
    """Packet decoded from its own payload → when its audio was there."""
    restored: float = 0.0
    """Frames from in-band FEC."""
    cpu: float = 0.0
    """Seconds of process time."""


@functools.cache
def speech() -> tuple[bytes, ...]:
    """All bundled clips with pauses of 0.4 s, as 20 ms Opus packets: 32 kb/s, in-band FEC set up for 10 % loss."""
    pieces = []
    for path in sorted(CLIPS.glob("*.wav")):
        with wave.open(str(path)) as clip:
            pieces += [np.frombuffer(clip.readframes(clip.getnframes()), np.int16), np.zeros(6400, np.int16)]
    sound = np.concatenate(pieces)
    encoder = OpusEncoder(bitrate=32_000, fec=True, loss_percent=10)
    return tuple(encoder.encode(frame) for frame in sound[: len(sound) // FRAME * FRAME].reshape(-1, FRAME))


def deliveries(network: Network, seed: int) -> list[Delivery]:
    """Packets in the order of their arrival. The first one always comes."""
    rng, count = np.random.default_rng(seed), len(speech())
    lost = np.zeros(count, bool)
    while lost.mean() < network.loss:
        begin, length = rng.integers(1, count), rng.geometric(1 / network.burst)
        lost[begin : begin + length] = True
    at = np.maximum.accumulate(np.arange(count) * FRAME_TIME + network.jitter * rng.standard_exponential(count))
    at += (rng.random(count) < network.reorder) * rng.uniform(0.025, 0.055, count)
    return [Delivery(int(i), float(at[i])) for i in np.argsort(at, kind="stable") if not lost[i]]


def ours(packets: list[Delivery]) -> Heard:
    """Our receiver, with its timers."""
    receiver, payloads, heard, arrived = OpusReceiver(), speech(), Heard(), set()

    def note(pieces: list[Pcm], at: float) -> None:
        for piece in pieces:
            index = piece.position // FRAME
            if len(piece.pcm) == FRAME and index in arrived:
                heard.own[index] = at

    begun = time.process_time()
    for packet in packets:
        while (timer := receiver.next_timer()) is not None and timer <= packet.at:
            note(receiver.tick(timer), timer)
        arrived.add(packet.index)
        stamp = 960 * packet.index
        note(receiver.push(packet.index & 0xFFFF, stamp, 1, payloads[packet.index], packet.at), packet.at)
    while (timer := receiver.next_timer()) is not None:
        note(receiver.tick(timer), timer)
    heard.cpu = time.process_time() - begun
    counted = receiver.statistics
    heard.restored = counted.restored / FRAME
    if len(heard.own) != counted.decoded // FRAME:
        raise AssertionError(f"{len(heard.own)} frames seen, {counted.decoded // FRAME} counted")
    return heard


def aiortc(packets: list[Delivery]) -> Heard:
    """What aiortc's receiver does with audio, and the resampling that a listener needs."""
    track, heard = StockTrack(), Heard()
    stock = [(stock_packet(packet.index), packet.at) for packet in packets]
    begun = time.process_time()
    for made, at in stock:
        stamp = track.push(made)
        if stamp is not None:
            heard.own[stamp // 960] = at
    heard.cpu = time.process_time() - begun
    return heard


def stock_packet(index: int) -> Any:
    """A packet as aiortc's receiver has it after depayloading."""
    packet: Any = StockPacket(payload_type=111, sequence_number=index & 0xFFFF, timestamp=960 * index, ssrc=1)
    packet._data = speech()[index]
    return packet


class StockTrack:
    """aiortc's audio path of one track."""

    def __init__(self) -> None:
        self._buffer, self._decoder = StockBuffer(capacity=16, prefetch=4), StockDecoder()
        self._resampler = AudioResampler(format="s16", layout="mono", rate=16_000)

    def push(self, packet: Any) -> int | None:
        """Timestamp of the frame that was decoded, if one was."""
        _, encoded = self._buffer.add(packet)
        if encoded is None:
            return None
        for frame in self._decoder.decode(encoded):
            for out in self._resampler.resample(cast(AudioFrame, frame)):
                out.to_ndarray()
        return int(encoded.timestamp)


PATHS = {"earshot": ours, "aiortc": aiortc}


def run(network: Network, path: str, seed: int) -> dict[str, Any]:
    """One stream through one path: one row of the raw numbers."""
    packets = deliveries(network, seed)
    heard = PATHS[path](packets)
    added = [1000 * (heard.own[p.index] - p.at) for p in packets if p.index in heard.own]
    frames = len(speech())
    return {
        "network": network.name,
        "path": path,
        "seed": seed,
        "frames": frames,
        "arrived": len(packets) / frames,
        "own": len(heard.own) / frames,
        "heard": (len(heard.own) + heard.restored) / frames,
        "thrown_away": len(packets) - len(heard.own),
        "latency_p50_ms": float(np.percentile(added, 50)),
        "latency_p95_ms": float(np.percentile(added, 95)),
        "cpu": heard.cpu / (frames * FRAME_TIME),
    }


def memory(path: str) -> float:
    """KiB that one more track costs, in a process of its own."""
    command = [sys.executable, "-m", "bench.media", "--memory", path]
    return float(subprocess.run(command, check=True, capture_output=True, text=True, cwd=HERE.parent).stdout)


def measure_memory(path: str) -> float:
    """Keeps many tracks alive in this process and compares resident memory, KiB per track."""

    def track() -> object:
        receiver, stock = (OpusReceiver(), None) if path == "earshot" else (None, StockTrack())
        for i in range(100):
            if receiver is not None:
                receiver.push(i, 960 * i, 1, speech()[i], i * FRAME_TIME)
            if stock is not None:
                stock.push(stock_packet(i))
        return receiver or stock

    def resident() -> int:
        return int(re.findall(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[0])

    kept = [track()]
    before = resident()
    kept += [track() for _ in range(TRACKS_FOR_MEMORY)]
    return (resident() - before) / TRACKS_FOR_MEMORY


def machine() -> dict[str, str]:
    """Where and with what the numbers were made."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next(iter(re.findall(r"model name\s*: (.*)", text)), platform.machine())
    packages = ("aiortc", "av", "numpy")
    return {
        "cpu": f"{model}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "libopus": version(),
        **{name: importlib.metadata.version(name) for name in packages},
    }


def median(rows: list[dict[str, Any]], network: str, path: str, key: str) -> float:
    """Of one number over the seeds."""
    return float(statistics.median(row[key] for row in rows if row["network"] == network and row["path"] == path))


def targets(rows: list[dict[str, Any]]) -> list[tuple[str, str, bool]]:
    """What is promised, what was measured (the worst seed), and whether it holds."""
    mine = [row for row in rows if row["path"] == "earshot"]
    lossy = [row for row in mine if row["network"] == "5 % loss"]
    heard = min(row["heard"] for row in lossy)
    thrown = max(row["thrown_away"] for row in lossy)
    latency = max(row["latency_p50_ms"] for row in mine if not NETWORK[row["network"]].loss)
    cpu = max(row["cpu"] for row in mine)
    return [
        ("5 % random loss: frames from own payload or FEC ≥ 94.5 %", f"{heard:.1%}", heard >= 0.945),
        ("5 % random loss: frames lost beyond the holes = 0", f"{thrown}", thrown == 0),
        ("no loss: median added latency ≤ 5 ms", f"{latency:.1f} ms", latency <= 5),
        ("CPU per track ≤ 1.5 % of a core", f"{cpu:.2%}", cpu <= 0.015),
    ]


def report(rows: list[dict[str, Any]], kib: dict[str, float]) -> str:
    """The page."""
    frames, seeds = rows[0]["frames"], len(SEEDS)
    lines = [
        "# Opus path: Earshot beside stock aiortc",
        "",
        "Generated by `make bench` (`python -m bench.media`); raw numbers in `media.json`. Do not edit.",
        "",
        f"The same {frames * FRAME_TIME:.0f} s of speech (bundled clips; libopus, 32 kb/s, in-band FEC, 20 ms packets)",
        f"through both paths, to 16 kHz mono; {seeds} seeds per network, medians. Simulated arrival times. aiortc's",
        "side is its `JitterBuffer(16, 4)`, its Opus decoder and an `AudioResampler`, without its thread and queues.",
        "",
        "* heard: share of frames decoded from their own payload or from FEC; concealment and silence do not count.",
        "* thrown away: frames whose packet arrived and was not decoded (four of aiortc's are the rest in its buffer).",
        "* latency: waiting between a packet's arrival and its audio; computing comes on top (see CPU: 0.1 % of a core",
        "  is 20 µs per packet).",
        "",
        "| Network | arrived | heard: Earshot | aiortc | thrown away: Earshot | aiortc | p50/p95 ms: Earshot |aiortc|",
        "|---|---|---|---|---|---|---|---|",
    ]
    for network in NETWORKS:
        get = functools.partial(median, rows, network.name)
        cells = [network.name, f"{get('earshot', 'arrived'):.1%}"]
        cells += [f"{get(path, 'heard'):.1%}" for path in PATHS]
        cells += [f"{get(path, 'thrown_away'):.0f}" for path in PATHS]
        cells += [f"{get(path, 'latency_p50_ms'):.1f} / {get(path, 'latency_p95_ms'):.1f}" for path in PATHS]
        lines.append("| " + " | ".join(cells) + " |")
    cpu = {path: [median(rows, name, path, "cpu") for name in ("clean", "5 % loss")] for path in PATHS}
    lines += [
        "",
        "| Cost of a track | Earshot | aiortc | Earshot / aiortc |",
        "|---|---|---|---|",
        *(
            f"| CPU, {name} (share of a core) | {a:.2%} | {b:.2%} | {a / b:.2f} |"
            for name, a, b in zip(("clean", "5 % loss"), cpu["earshot"], cpu["aiortc"], strict=True)
        ),
        f"| memory, KiB | {kib['earshot']:.0f} | {kib['aiortc']:.0f} | {kib['earshot'] / kib['aiortc']:.2f} |",
        "",
        "| Target (worst seed) | measured | holds |",
        "|---|---|---|",
        *(f"| {target} | {value} | {'yes' if holds else '**no**'} |" for target, value, holds in targets(rows)),
        "",
        *(f"* {name}: {value}" for name, value in machine().items()),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Runs everything; the exit code says whether the targets hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", choices=PATHS, help="measure the memory of one path and print it")
    if path := parser.parse_args().memory:
        print(measure_memory(path))
        return 0
    rows = [run(network, path, seed) for network in NETWORKS for seed in SEEDS for path in PATHS]
    kib = {path: memory(path) for path in PATHS}
    raw = {"machine": machine(), "memory_kib_per_track": kib, "runs": rows}
    (HERE / "media.json").write_text(json.dumps(raw, indent=1) + "\n")
    (HERE / "media.md").write_text(report(rows, kib))
    print(report(rows, kib))
    return 0 if all(holds for _, _, holds in targets(rows)) else 1


if __name__ == "__main__":
    sys.exit(main())
