"""Ways to hear a page, beside each other: `python -m bench.browser` writes browser.md and browser.json.

A real Chromium (headless shell) opens a page with one WebRTC connection (`bench/pages`): N participants, two of whom
speak all the time. Ways: `none` (the page alone, nothing captured), `frames` (encoded frames, our first way), `element`
(a muted element and an AudioWorklet at 16 kHz, our second), `pulse` (what others do: the page plays into a null sink of
PulseAudio, and `parec` records its monitor at 16 kHz: one mix of everybody; needs Debian's pulseaudio-utils).

Latency is from the moment at which a 20 ms frame was handed to the sender's encoder to the arrival of its PCM at the
listener. CPU is of one core: Chromium with the page's own decoding, Playwright's driver, and our process. Memory is PSS
of Chromium's processes. SNR is after a least-squares alignment of 96 taps, per two seconds.

    python -m bench.browser                     every cell: 2, 10 and 30 participants
    python -m bench.browser --participants 2    some; the others stay as they were measured
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.pages import SETTLE_S, SPEAKERS, cpu_seconds, is_driver, own_folder, pss_mib, run_cell, sending, speech

HERE = Path(__file__).parent
PARTICIPANTS = (2, 10, 30)
WAYS = ("none", "frames", "element", "pulse")
WINDOW_S = 12.0
RATE = 16_000


# --- a cell


async def cell(way: str, participants: int) -> dict[str, Any]:
    """One run: opens the page, waits until it is settled, measures for WINDOW_S."""
    from bot.drivers.browser.bridge import Bridge
    from bot.drivers.browser.launch import chromium, processes
    from bot.drivers.browser.page import open_page
    from tests.support.servers.pages import ON_ONE_MACHINE, Heard, chromium_settings

    class Listener(Heard):
        bridge: Bridge

        def track_opened(self, track: Any) -> None:
            super().track_opened(track)
            if way == "element":
                asyncio.get_running_loop().call_soon(self._force, track.track_id)

        def _force(self, track_id: str) -> None:
            for frame in self.bridge._frames:
                for number, track in list(frame._tracks.items()):
                    if track.info.track_id == track_id:
                        frame._change_way(number, track, "the benchmark")

    heard = Listener()

    async def measure(folder: Path) -> dict[str, Any]:
        await asyncio.sleep(SETTLE_S)
        all_of_it = processes(folder)
        ours = children()
        driver = {one for one in {*all_of_it, *ours} if is_driver(one)}  # that of `pulse` is not in the folder
        sound_servers = {one for one, name in ours.items() if name in ("pulseaudio", "parec")}
        groups = {"chromium": all_of_it - driver, "driver": driver, "bot": {os.getpid(), *sound_servers}}
        before = {name: cpu_seconds(group) for name, group in groups.items()}
        began = time.monotonic()
        await asyncio.sleep(WINDOW_S)
        took = time.monotonic() - began
        used = {f"{name}_cpu": 100 * (cpu_seconds(group) - before[name]) / took for name, group in groups.items()}
        return {**used, "pss": pss_mib(groups["chromium"]), "since": began}

    connection = [*["speaker"] * SPEAKERS, *["listener"] * (participants - SPEAKERS)]
    settings = chromium_settings()
    with own_folder() as own:

        async def settled() -> dict[str, Any]:
            return await measure(next(own.iterdir()))

        async with sending([connection]) as (url, times):
            if way == "pulse":
                row = await through_pulse(url, own, heard, settled)
            elif way == "none":
                async with chromium(settings, "127.0.0.1:1", ON_ONE_MACHINE) as context:
                    await context.pages[0].goto(url)
                    row = await settled()
            else:
                async with open_page(settings, heard, arguments=ON_ONE_MACHINE, mix=False) as page:
                    heard.bridge = page._bridge
                    await page.goto(url)
                    row = await settled()
    row |= {"way": way, "participants": participants, "load": os.getloadavg()[0]}
    if way != "none":
        row |= sound(heard, times, row["since"])
    return row


def children() -> dict[int, str]:
    """Our children, each with the name of its program."""
    ours = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return {int(one): Path(f"/proc/{one}/comm").read_text().strip() for one in ours}


async def through_pulse(
    url: str, own: Path, heard: Any, settled: Callable[[], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    """The page in a Chromium that plays into a sink of its own, which is recorded; Chromium's switches are ours."""
    from playwright.async_api import async_playwright

    from bot.audio.frame import AudioFrame
    from bot.drivers.browser.launch import PREFIX, SWITCHES
    from bot.drivers.browser.page import TrackInfo
    from tests.support.servers.pages import ON_ONE_MACHINE, chromium_settings

    folder = own / f"{PREFIX}pulse"
    folder.mkdir()
    environment = {**os.environ, "HOME": str(folder), "TMPDIR": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    modules = (
        f"module-native-protocol-unix socket={folder}/sound.sock auth-anonymous=1",
        "module-null-sink sink_name=bot",
    )
    loads = [word for module in modules for word in ("-L", module)]
    quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    pulse = await asyncio.create_subprocess_exec(
        *("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", *loads),
        stdout=subprocess.DEVNULL,
        env=environment,
        **quiet,
    )
    environment |= {"PULSE_SERVER": f"unix:{folder}/sound.sock", "PULSE_SINK": "bot"}  # with these no server starts
    while not (folder / "sound.sock").exists():  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    recorder = await asyncio.create_subprocess_exec(
        *("parec", "--device=bot.monitor", "--format=s16le", "--rate=16000", "--channels=1", "--latency-msec=10"),
        stdout=asyncio.subprocess.PIPE,
        env=environment,
        **quiet,
    )

    async def record() -> None:
        heard.track_opened(TrackInfo("pulse", mid="0"))
        assert recorder.stdout is not None
        position = 0
        while True:
            pcm = np.frombuffer(await recorder.stdout.readexactly(640), "<i2")
            heard.audio(AudioFrame("pulse", pcm, position, 1, time.monotonic()))
            position += len(pcm)

    recording = asyncio.create_task(record())
    settings = chromium_settings()
    try:
        async with async_playwright() as driver:
            context = await driver.chromium.launch_persistent_context(
                folder / "profile",
                executable_path=settings.executable,
                chromium_sandbox=not settings.allow_no_sandbox,
                args=[*(one for one in SWITCHES if "{" not in one), *ON_ONE_MACHINE],
                ignore_default_args=["--mute-audio"],
                env={name: value for name, value in environment.items() if name not in ("BOT_CONFIG",)},
            )
            await context.pages[0].goto(url)
            row = await settled()
            await context.close()
    finally:
        recording.cancel()
        for process in (recorder, pulse):
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                process.terminate()
            await process.wait()
    return row


def sound(heard: Any, times: list[float], since: float) -> dict[str, Any]:
    """Latency and SNR of the first participant's track."""
    track = next(one.track_id for one in heard.tracks.values() if one.mid == "0")
    frames = [(at, frame.pcm) for at, frame in heard.frames if frame.track_id == track and at >= since]
    got = np.concatenate([pcm for _, pcm in frames]).astype(np.float64)
    said = speech().astype(np.float64)
    source = said[: len(said) // 3 * 3].reshape(-1, 3).mean(axis=1)
    source = np.tile(source, len(times) * 320 // len(source) + 2)
    latencies, ratios, index = [], [], 0
    for first in range(0, len(got) - 2 * RATE, 2 * RATE):
        piece = got[first : first + 2 * RATE]
        size = 1 << (len(source) + len(piece)).bit_length()
        match = np.fft.irfft(np.fft.rfft(source, size) * np.conj(np.fft.rfft(piece, size)), size)
        # the speech repeats: of the equal matches the one that was sent within the last second
        latest = int(np.searchsorted(times, frames[min(index, len(frames) - 1)][0])) * 320
        best = (
            latest - RATE + int(match[max(0, latest - RATE) : latest].argmax())
            if latest > RATE
            else int(match.argmax())
        )
        best = max(best, 48)
        ratios.append(snr(source[best - 48 : best + len(piece) + 48], piece))
        position = best
        while index < len(frames) and position < best + len(piece):
            at, pcm = frames[index]
            position += len(pcm)
            sent = (position - 1) // 320
            if sent < len(times):
                latencies.append(1000 * (at - times[sent]))
            index += 1
    missing = WINDOW_S * RATE - len(got)
    return {
        "latency": statistics.median(latencies),
        "latency_p95": float(np.percentile(latencies, 95)),
        "snr": statistics.median(ratios),
        "missing_ms": 1000 * missing / RATE,
        "tracks": len(heard.tracks),
    }


def snr(source: NDArray[np.float64], got: NDArray[np.float64]) -> float:
    """dB, after the best filter of 96 taps."""
    taps = 96
    windows = np.lib.stride_tricks.sliding_window_view(source, taps)[: len(got)]
    got = got[: len(windows)]
    best, *_ = np.linalg.lstsq(windows, got, rcond=None)
    rest = got - windows @ best
    return float(10 * np.log10((got @ got) / (rest @ rest + 1e-9)))


# --- the report


def report(rows: list[dict[str, Any]]) -> str:
    """The page."""
    loads = [row["load"] for row in rows]
    machine = (
        f"Measured on {os.cpu_count()} cores with a load of {min(loads):.1f} to {max(loads):.1f} (one-minute average,"
        " this benchmark included): above 2 other work took part of them (other Chromiums, too, with which ours shares"
        " memory), and latencies and CPU are upper bounds."
    )
    lines = [
        "# Ways to hear a page",
        "",
        "Written by `python -m bench.browser`; what is measured and how stands at its top. Percent of one core.",
        "",
        machine,
        "",
        "| Participants | Way | Latency, median / p95 | SNR | Chromium | driver | bot | PSS | load |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        heard = "- | -"
        if "latency" in row:
            quality = "a mix" if row["way"] == "pulse" else f"{row['snr']:.1f} dB"
            heard = f"{row['latency']:.1f} / {row['latency_p95']:.1f} ms | {quality}"
        lines.append(
            f"| {row['participants']} | {row['way']} | {heard} | {row['chromium_cpu']:.1f} % |"
            f" {row['driver_cpu']:.1f} % | {row['bot_cpu']:.1f} % | {row['pss']:.0f} MiB | {row['load']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m bench.browser")
    parser.add_argument("--participants", type=int, nargs="*", default=PARTICIPANTS)
    parser.add_argument("--ways", nargs="*", default=WAYS)
    parser.add_argument("--cell", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.cell is not None:
        print(json.dumps(asyncio.run(cell(given.cell[0], int(given.cell[1])))))
    else:
        kept = json.loads((HERE / "browser.json").read_text()) if (HERE / "browser.json").exists() else []
        rows = {(row["participants"], row["way"]): row for row in kept}
        for participants in given.participants:
            for way in given.ways:
                rows[participants, way] = run_cell("bench.browser", way, str(participants))
                ordered = sorted(rows.values(), key=lambda row: (row["participants"], WAYS.index(row["way"])))
                (HERE / "browser.json").write_text(json.dumps(ordered, indent=1) + "\n")
                (HERE / "browser.md").write_text(report(ordered))
    return 0


if __name__ == "__main__":
    sys.exit(main())
