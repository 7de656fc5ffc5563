"""Plain RTP by each engine, side by side: `python -m bench.rtp` writes rtp.md and rtp.json (3 minutes of real time).

One sender's packets go to three bots at once, of which each has a process of its own: our decoder, GStreamer and FFmpeg
get the same packets at the same moments, through the same impairments. What comes out is aligned with what went in,
window by window.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import os
import platform
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bot.audio.frame import AudioFrame
from bot.codecs.formats import STATIC, Format
from bot.codecs.resample import Resampler
from bot.platforms import load
from bot.platforms.base import Invitation
from bot.platforms.orders import Orders
from bot.platforms.rtp.settings import RtpSettings
from common.audio.opus import OpusEncoder
from tests.support.processes import descendants
from tests.support.servers.rtp_sender import encoder, free_port, rtp

HERE = Path(__file__).parent
CLIPS = HERE.parent / "rehearsal" / "clips"
RATE, FRAME, FRAME_S = 16_000, 320, 0.02
SECONDS = 16
WINDOW = RATE // 2
TAPS = 64
ENGINES = ("native", "gst", "ffmpeg")
FORMATS: dict[str, tuple[Format, int]] = {"opus": (Format("opus"), 100), "pcmu": (STATIC[0], 0)}
HEAD = struct.Struct("<dI")


@dataclass(frozen=True)
class Network:
    """What happens on the way."""

    name: str
    loss: float = 0.0
    late: float = 0.0
    """Share of packets that come 50 ms late."""
    burst: tuple[float, float] = (0.0, 0.0)
    """From and to which second nothing comes."""
    silence: tuple[float, float] = (0.0, 0.0)
    """From and to which second nothing is sent (DTX)."""


NETWORKS = (
    Network("clean"),
    Network("5 % loss", loss=0.05),
    Network("5 % of packets 50 ms late", late=0.05),
    Network("120 ms lost", burst=(8.0, 8.12)),
    Network("3 s of silence, not sent", silence=(7.0, 10.0)),
)
RUNS = [("opus", network) for network in NETWORKS] + [("pcmu", network) for network in NETWORKS[:2]]


@dataclass
class Result:
    """What one engine made of one run."""

    codec: str
    network: str
    engine: str
    kept: float
    """Seconds that came out."""
    snr: float
    """dB, over all windows of half a second."""
    latency: float
    """ms from the sending of a packet to its sound, median, and ..."""
    latency_p95: float
    cpu: float
    """Percent of one core, children included."""


@functools.cache
def speech() -> NDArray[np.int16]:
    """Sixteen seconds of the bundled clips, at 16 kHz."""
    pieces = []
    for path in sorted(CLIPS.glob("*.wav")):
        with wave.open(str(path)) as clip:
            pcm = np.frombuffer(clip.readframes(clip.getnframes()), np.int16)
            pieces.append(Resampler(clip.getframerate()).push(pcm))
    line = np.concatenate(pieces * 4)
    return line[: SECONDS * RATE]


@functools.cache
def payloads(codec: str) -> tuple[bytes, ...]:
    """In packets of 20 ms; Opus at 32 kb/s with in-band FEC."""
    form, _ = FORMATS[codec]
    frames = speech().reshape(-1, FRAME)
    if codec == "opus":
        opus = OpusEncoder(bitrate=32_000, fec=True, loss_percent=10)
        return tuple(opus.encode(frame) for frame in frames)
    encode = encoder(form)
    narrow = narrowed()
    return tuple(encode(frame) for frame in narrow.reshape(-1, FRAME // 2))


@functools.cache
def narrowed() -> NDArray[np.int16]:
    """At 8 kHz: every second sample of what a filter for 4 kHz leaves."""
    taps = np.sinc(np.arange(-63, 64) / 2) * np.hamming(127) / 2
    return np.round(np.convolve(speech().astype(float), taps, "same")[::2]).clip(-32768, 32767).astype(np.int16)


def deliveries(network: Network, count: int) -> list[tuple[float, int]]:
    """When each packet that arrives does, and which one it is."""
    chance = np.random.default_rng(7)
    arriving = []
    for index in range(count):
        at = index * FRAME_S
        is_lost = index > 0 and chance.random() < network.loss
        late = 0.05 * (chance.random() < network.late)
        away = any(begin <= at < end for begin, end in (network.burst, network.silence))
        if not is_lost and not away:
            arriving.append((at + late, index))
    return sorted(arriving)


def sent(network: Network, codec: str) -> Iterator[tuple[float, bytes]]:
    """The datagrams, in the order of their arrival. What is not sent has no sequence number."""
    form, payload_type = FORMATS[codec]
    ticks = round(form.clock_rate * FRAME_S)
    unsent = round((network.silence[1] - network.silence[0]) / FRAME_S)
    for at, index in deliveries(network, len(payloads(codec))):
        number = index - (unsent if index * FRAME_S >= network.silence[1] > 0 else 0)
        yield at, rtp(payloads(codec)[index], payload_type, number + 1, index * ticks, 42)


# --- the bot's side, in a process of its own


class _Writer:
    """Writes down every frame, and when it came."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, path.open("wb")

    def event(self, event: object) -> None:
        """The first one: it listens."""
        self._path.with_suffix(".ready").touch()

    def audio(self, frame: AudioFrame) -> None:
        """To the file."""
        self._file.write(HEAD.pack(time.monotonic(), len(frame.pcm)) + frame.pcm.tobytes())
        self._file.flush()


def child(engine: str, port: int, codec: str, path: str) -> None:
    """Listens until it is killed."""
    form, payload_type = FORMATS[codec]
    stream = {"codec": form.codec, "payloadType": payload_type, "participant": {"id": "ana"}}
    settings = RtpSettings.model_validate({"streams": [stream], "engine": engine, "engineFallback": False})
    invitation = Invitation(f"rtp://127.0.0.1:{port}", "bench", "bench", settings=settings)
    asyncio.run(load("rtp").attend(invitation, _Writer(Path(path)), Orders()))


def heard(path: Path) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """The samples, and when each came."""
    data, at = path.read_bytes(), 0
    pcm, times = [np.zeros(0, np.int16)], [np.zeros(0)]
    while at + HEAD.size <= len(data):
        moment, count = HEAD.unpack_from(data, at)
        at += HEAD.size
        pcm.append(np.frombuffer(data, np.int16, count, at))
        times.append(np.full(count, moment))
        at += 2 * count
    return np.concatenate(pcm), np.concatenate(times)


# --- measuring


def ticks(pid: int) -> float:
    """Seconds of CPU that a process and its children have used."""
    total = 0
    for each in descendants(pid):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def run(codec: str, network: Network, engines: list[str]) -> list[Result]:
    """One run: all engines hear the same."""
    with tempfile.TemporaryDirectory() as folder:
        ports = {engine: free_port() for engine in engines}
        bots = {
            engine: subprocess.Popen(
                [sys.executable, "-m", "bench.rtp", "--child", engine, str(port), codec, f"{folder}/{engine}"],
                stdout=subprocess.DEVNULL,
            )
            for engine, port in ports.items()
        }
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
                out.bind(("127.0.0.1", 0))
                while not all(Path(folder, f"{engine}.ready").exists() for engine in engines):
                    time.sleep(0.1)
                begun = time.monotonic()
                used = {engine: ticks(bot.pid) for engine, bot in bots.items()}
                for at, datagram in sent(network, codec):
                    time.sleep(max(begun + at - time.monotonic(), 0))
                    for port in ports.values():
                        out.sendto(datagram, ("127.0.0.1", port))
                time.sleep(0.5)
                took = time.monotonic() - begun
                used = {engine: ticks(bot.pid) - used[engine] for engine, bot in bots.items()}
        finally:
            for bot in bots.values():
                bot.terminate()
                bot.wait()
        return [
            judge(codec, network, engine, *heard(Path(folder) / engine), begun, 100 * used[engine] / took)
            for engine in engines
        ]


def judge(
    codec: str, network: Network, engine: str, pcm: NDArray[np.int16], times: NDArray[np.float64], begun: float,
    cpu: float,
) -> Result:  # fmt: skip
    """Aligns what came out with what went in."""
    quiet = np.zeros(2 * RATE, np.int16)  # so that what comes first can be looked for, too
    truth = np.concatenate([quiet, speech() if codec == "opus" else wide(narrowed()), quiet])
    energy, latencies = np.zeros(2), []
    for start in range(0, len(pcm) - WINDOW, WINDOW):
        window = pcm[start : start + WINDOW].astype(float)
        expected = round((times[start] - begun) * RATE)
        if np.abs(window).max() < 500:
            continue
        place, signal, noise = aligned(window, truth, expected + len(quiet))
        energy += signal, noise
        if signal > 2 * noise:
            middle_of_frames = np.arange(FRAME // 2, WINDOW, FRAME)
            given = begun + (place - len(quiet) + middle_of_frames) // FRAME * FRAME_S
            latencies += list(1000 * (times[start + middle_of_frames] - given))
    found = np.array(latencies or [np.nan])
    snr, (middle, high) = float(10 * np.log10(energy[0] / energy[1])), np.percentile(found, (50, 95))
    return Result(codec, network.name, engine, len(pcm) / RATE, snr, float(middle), float(high), cpu)


def wide(narrow: NDArray[np.int16]) -> NDArray[np.int16]:
    """8 kHz at 16 kHz, without the delay of our own filter."""
    padded = Resampler(8_000).push(np.concatenate([narrow, np.zeros(100, np.int16)]))
    return padded[54:][: 2 * len(narrow)]


def aligned(window: NDArray[np.float64], truth: NDArray[np.int16], expected: int) -> tuple[int, float, float]:
    """Where in the truth a window is, and the energy of what it has of it (by a least-squares filter) and has not."""
    first = max(expected - 2 * RATE, 0)
    part = truth[first : expected + WINDOW + RATE // 2].astype(float)
    size = 1 << (len(part) + len(window)).bit_length()
    matched = np.fft.irfft(np.fft.rfft(part, size) * np.conj(np.fft.rfft(window, size)), size)[: len(part) - WINDOW + 1]
    sums = np.concatenate([[0.0], np.cumsum(part**2)])
    likeness = np.abs(matched) / np.sqrt(sums[WINDOW:] - sums[:-WINDOW] + 1e6)
    fits = []
    for _ in range(4):  # voices are like themselves a pitch period later: the best fit decides
        lag = int(likeness.argmax())
        likeness[max(lag - TAPS // 2, 0) : lag + TAPS // 2] = 0
        low = min(max(lag - TAPS // 2, 0), len(part) - WINDOW - TAPS)
        shifted = np.lib.stride_tricks.sliding_window_view(part[low : low + WINDOW + TAPS - 1], TAPS)
        weights = np.linalg.solve(shifted.T @ shifted + np.eye(TAPS), shifted.T @ window)
        fitted = shifted @ weights
        fits.append((float(((window - fitted) ** 2).sum()), float(fitted @ fitted), first + lag))
    noise, signal, place = min(fits)
    return place, signal, noise


def report(results: list[Result], load: float) -> str:
    """The page."""
    lines = [
        "# Plain RTP: our decoder, GStreamer and FFmpeg on the same packets",
        "",
        (
            f"`python -m bench.rtp` on {os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f} at "
            f"its start. {SECONDS} s of the bundled speech in packets of 20 ms, sent once to three bots, each the "
            "platform `rtp` in a process of its own; engines are its child processes. Latency: from the sending of a "
            "packet to the frame with its sound. SNR: of all, after a least-squares alignment of windows of 0.5 s with "
            "the source; Opus itself leaves 15 to 25 dB. CPU: of one core, the bot's media path and its child."
        ),
        "",
        "| Codec | Network | Engine | Audio out, s | SNR, dB | Latency, ms (p95) | CPU, % |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r.codec} | {r.network} | {r.engine} | {r.kept:.2f} | {r.snr:.1f} | {r.latency:.0f} ({r.latency_p95:.0f}) "
        f"| {r.cpu:.1f} |"
        for r in results
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Runs everything that is installed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", nargs=4, metavar=("ENGINE", "PORT", "CODEC", "FILE"), help=argparse.SUPPRESS)
    parser.add_argument("--only", type=int, help="so many of the runs")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for rtp.md and rtp.json")
    arguments = parser.parse_args()
    if arguments.child:
        engine, port, codec, path = arguments.child
        child(engine, int(port), codec, path)
        return
    load_before = os.getloadavg()[0]
    programs: dict[str, Any] = {"gst": "gst-launch-1.0", "ffmpeg": "ffmpeg"}
    engines = [engine for engine in ENGINES if engine not in programs or shutil.which(programs[engine])]
    results: list[Result] = []
    for codec, network in RUNS[: arguments.only]:
        found = run(codec, network, engines)
        results += found
        for each in found:
            print(each, flush=True)
    (arguments.out / "rtp.md").write_text(report(results, load_before), encoding="utf-8")
    everything = {"load": load_before, "results": [asdict(each) for each in results]}
    (arguments.out / "rtp.json").write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
