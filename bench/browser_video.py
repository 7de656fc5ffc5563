"""What nine remote videos cost a bot: `python -m bench.browser_video` writes browser_video.md and browser_video.json.

A real Chromium (headless shell) opens a page with nine WebRTC connections (`bench/pages`): nine participants with a
microphone each (two speak) and in some cells a camera each, played in an element each.

Cells: `audio` (microphones alone), `dropped` (with cameras, as a bot takes the page: video dropped before the decoder),
`decoded` (the same, nothing dropped). They are run in turn, in rounds; what is compared is CPU time of Chromium's
processes within a round, and of the ratios the median. Promise: dropped <= 1.5 x audio. Frames, packets and requests
for key frames are the page's own count (`getStats`), under any load the same.

    python -m bench.browser_video               five rounds, 7 minutes on a quiet machine
    python -m bench.browser_video --rounds 1    shows that it works
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from bench.pages import SETTLE_S, SPEAKERS, cpu_seconds_by_kind, is_driver, own_folder, pss_mib, run_cell, sending

HERE = Path(__file__).parent
CELLS = ("audio", "dropped", "decoded")
PARTICIPANTS = 9
WINDOW_S = 15.0
ROUNDS = 5
PROMISE = 1.5
LEAST = 0.9

COUNTED = ("framesDecoded", "packetsReceived", "bytesReceived", "pliCount", "nackCount")
STATS = """async (counted) => {
  const stats = await Promise.all(connections.map((one) => one.getStats()));
  const all = stats.flatMap((one) => [...one.values()]);
  const of = (what) => all.filter(({ type, kind }) => type === "inbound-rtp" && kind === what);
  const sum = (ones, key) => ones.reduce((total, one) => total + (one[key] || 0), 0);
  const videos = Object.fromEntries(counted.map((key) => [key, sum(of("video"), key)]));
  return { videos: of("video").length, ...videos, audioPackets: sum(of("audio"), "packetsReceived") };
}"""


async def cell(way: str) -> dict[str, Any]:
    """One run: opens the page, waits until it is settled, measures for WINDOW_S."""
    from bot.drivers.browser import page as engine
    from bot.drivers.browser.launch import processes
    from tests.support.servers.pages import ON_ONE_MACHINE, Heard, chromium_settings

    script = engine.init_script
    if way == "decoded":
        engine.init_script = lambda *given: script(*given).replace('"dropVideo": true', '"dropVideo": false')
    cameras = [] if way == "audio" else ["camera"]
    connections = [["speaker" if number < SPEAKERS else "listener", *cameras] for number in range(PARTICIPANTS)]
    with own_folder() as own:
        async with (
            sending(connections) as (url, _),
            engine.open_page(chromium_settings(), Heard(), arguments=ON_ONE_MACHINE, mix=False) as page,
        ):
            await page.goto(url)
            await asyncio.sleep(SETTLE_S)
            chromium = {one for one in processes(next(own.iterdir())) if not is_driver(one)}
            seen, before, began = await page.evaluate(STATS, COUNTED), cpu_seconds_by_kind(chromium), time.monotonic()
            await asyncio.sleep(WINDOW_S)
            took, after = time.monotonic() - began, cpu_seconds_by_kind(chromium)
            now = await page.evaluate(STATS, COUNTED)
            row = {"way": way, "seconds": took, "load": os.getloadavg()[0], "pss": pss_mib(chromium)}
    by_kind = {kind: used - before.get(kind, 0.0) for kind, used in after.items()}
    row |= {"cpu_seconds": sum(by_kind.values()), "cpu_seconds_by_kind": by_kind, "videos": now["videos"]}
    return row | {key: now[key] - seen[key] for key in (*COUNTED, "audioPackets")}


def is_whole(row: dict[str, Any]) -> bool:
    """Whether nearly all was received that is sent on a machine with time for it."""
    return bool(row["audioPackets"] >= LEAST * PARTICIPANTS * 50 * row["seconds"])


def ratios(rows: list[dict[str, Any]], way: str) -> list[float]:
    """Of each round in which both are whole the CPU of a way, by that of `audio`."""
    whole = {(row["round"], row["way"]): row["cpu_seconds"] / row["seconds"] for row in rows if is_whole(row)}
    return [
        whole[number, way] / alone
        for (number, name), alone in whole.items()
        if name == "audio" and (number, way) in whole
    ]


def said(found: list[float]) -> str:
    """The median, and each."""
    each = ", ".join(f"{one:.2f}" for one in found)
    return f"**{statistics.median(found):.2f} x** ({each})" if found else "(no round was whole)"


def report(rows: list[dict[str, Any]]) -> str:
    """The page."""
    loads = [row["load"] for row in rows]
    dropped, decoded = (said(ratios(rows, way)) for way in CELLS[1:])
    lines = [
        "# What remote videos cost",
        "",
        "Written by `python -m bench.browser_video`; what is measured and how stands at its top. Medians; percent of",
        f"one core, on {os.cpu_count()} cores with a load of {min(loads):.1f} to {max(loads):.1f} (one-minute average,",
        "this benchmark included).",
        "",
        f"Of the CPU of the same page with audio only nine videos that are dropped cost {dropped}, decoded {decoded}",
        f"(in brackets each round; promise: {PROMISE:g} x).",
        "",
        f"A second. Rounds count in which {100 * LEAST:g} % of all audio came: else somebody else had the processors.",
        "",
        "| Cell | Chromium | PSS | Audio | Videos | Mbit/s | Packets, frames decoded, key frames asked for, NACKs |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for way in CELLS:
        of_way = [row for row in rows if row["way"] == way]
        a_second = {
            key: statistics.median(row[key] / row["seconds"] for row in of_way)
            for key in ("cpu_seconds", "audioPackets", *COUNTED)
        }
        counts = ", ".join(
            f"{a_second[key]:.1f}" for key in ("packetsReceived", "framesDecoded", "pliCount", "nackCount")
        )
        pss = statistics.median(row["pss"] for row in of_way)
        lines.append(
            f"| {way} | {100 * a_second['cpu_seconds']:.1f} % | {pss:.0f} MiB | {a_second['audioPackets']:.0f} |"
            f" {of_way[-1]['videos']} | {a_second['bytesReceived'] * 8e-6:.1f} | {counts} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """See the module's docstring; returns 1 where the promise is not kept, or nothing could be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.browser_video")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.cell is not None:
        print(json.dumps(asyncio.run(cell(given.cell))))
        return 0
    rows = []
    for number in range(given.rounds):
        for way in CELLS if number % 2 == 0 else reversed(CELLS):  # what drifts hits each way alike
            rows.append({"round": number, **run_cell("bench.browser_video", way)})
            (HERE / "browser_video.json").write_text(json.dumps(rows, indent=1) + "\n")
    (HERE / "browser_video.md").write_text(report(rows))
    found = ratios(rows, "dropped")
    return int(not found or statistics.median(found) > PROMISE)


if __name__ == "__main__":
    sys.exit(main())
