"""The grid: one cell is a fresh server under one load and one JSON file; cells that have theirs are not run again."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench.transcriber.audio import Track, track
from bench.transcriber.driver import Log, listen_to_nothing, play, warm_up
from bench.transcriber.score import Score, Spoken, score, summary, words
from bench.transcriber.servers import VARIANTS, Server, core_seconds, running

RESULTS = Path(__file__).parent / "results"
LOGS = Path(__file__).parents[2] / "build" / "bench-transcriber"
"""Every message of every cell, to score them again."""
SLOW, LIMIT = 10.0, 2.0
"""Final p95 in seconds that is hopeless, and that is wanted."""
NOISE = 10 ** (-50 / 20)
"""Root mean square of the noise that quiet streams hear."""
SIZES = (1, 2, 4, 8, 16, 32, 48, 64)
"""Streams; more than 32 only for who holds 32."""

Raw = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cell:
    """What is measured.

    Args:
        load: speech, silence or noise.
        talk: Share of the time in which somebody speaks, of each stream.
    """

    model: str
    load: str
    talk: float
    streams: int
    variant: str
    repetition: int = 0

    @property
    def key(self) -> str:
        """Its file's name."""
        share = f"-{self.talk:.0%}".rstrip("%") if self.load == "speech" else ""
        again = f"-r{self.repetition}" if self.repetition else ""
        return f"{self.model}-{self.load}{share}-n{self.streams:02}-{self.variant}{again}"

    @property
    def seconds(self) -> float:
        """Of audio: few streams have few utterances."""
        if self.load != "speech":
            return 30.0
        return {1: 50.0, 2: 40.0}.get(self.streams, 32.0)

    @property
    def path(self) -> Path:
        """Its results."""
        return RESULTS / f"{self.key}.json"

    def load_result(self) -> Raw | None:
        """None before it has run."""
        return json.loads(self.path.read_text()) if self.path.exists() else None


class Plan:
    """Which cell is next, given what there is. Variants take turns within each number of streams."""

    def speech(self, model: str, talk: float, sizes: tuple[int, ...]) -> Iterator[Cell]:
        """Ever more streams; a variant that was hopeless or lost something at two sizes in a row goes no further."""
        failed: dict[str, int] = dict.fromkeys(VARIANTS, 0)
        for size in sizes:
            for variant in VARIANTS:
                cell = Cell(model, "speech", talk, size, variant)
                if failed[variant] >= 2 or (size > 32 and (variant != "ours" or failed[variant])):
                    continue
                yield cell
                result = cell.load_result()
                failed[variant] = failed[variant] + 1 if result is None or _is_hopeless(result) else 0

    def quiet(self) -> Iterator[Cell]:
        """Nobody speaks."""
        for load in ("silence", "noise"):
            for variant in VARIANTS:
                yield Cell("demo", load, 0.0, 16, variant)

    def knees(self, model: str, talk: float, sizes: tuple[int, ...]) -> Iterator[Cell]:
        """Twice more: the most streams that each variant holds, and the fewest that it does not."""
        edges: list[Cell] = []
        for variant in VARIANTS:
            cells = [cell for size in sizes if (cell := Cell(model, "speech", talk, size, variant)).load_result()]
            holds = [cell for cell in cells if _holds(cell.load_result() or {})]
            breaks = [cell for cell in cells if cell not in holds]
            edges += [*holds[-1:], *breaks[:1]]
        for repetition in (1, 2):
            for cell in edges:
                yield replace(cell, repetition=repetition)

    def everything(self) -> Iterator[Cell]:
        """In the order of importance: the time may run out."""
        yield from self.speech("demo", 1.0, SIZES)
        yield from self.speech("base", 1.0, SIZES[:4])
        yield from self.quiet()
        yield from self.knees("demo", 1.0, SIZES)
        yield from self.speech("demo", 0.25, SIZES)
        yield from self.knees("base", 1.0, SIZES[:4])


def run_all(cells: Iterator[Cell], server_core: int, driver_core: int, until: float) -> None:
    """Runs what has not run yet, until this time (`time.monotonic`)."""
    os.sched_setaffinity(0, {driver_core})
    for cell in cells:
        if cell.path.exists():
            continue
        if time.monotonic() + cell.seconds + 25 > until:
            print(f"{cell.key}: no time left", flush=True)
            return
        begin = time.monotonic()
        result = run(cell, server_core)
        RESULTS.mkdir(exist_ok=True)
        cell.path.write_text(json.dumps(result, separators=(",", ":")) + "\n")
        print(f"{cell.key}: {time.monotonic() - begin:.0f} s  {outline(result)}", flush=True)


def run(cell: Cell, core: int) -> Raw:
    """Measures one cell."""
    variant = VARIANTS[cell.variant]
    with running(variant, cell.model, core) as server:
        asyncio.run(warm_up(server.url, track(999, 6.0, 1.0), variant.threshold))
        time.sleep(1.0)
        watch = Watch(server, core)
        gc.collect()
        gc.disable()
        try:
            tracks, logs = asyncio.run(_load(cell, server.url, watch))
        finally:
            gc.enable()
        used = watch.stop()
        survived = server.is_running
    _keep(cell, logs)
    return (
        {"cell": asdict(cell), "at": time.strftime("%Y-%m-%d %H:%M:%S"), "survived": survived}
        | used
        | rate(cell, tracks, logs, used)
    )


async def _load(cell: Cell, url: str, watch: Watch) -> tuple[list[Track], list[Log]]:
    threshold = VARIANTS[cell.variant].threshold
    sampling = asyncio.create_task(watch.sample())
    try:
        if cell.load == "speech":
            seeds = [1000 * cell.repetition + index for index in range(cell.streams)]
            tracks = [track(seed, cell.seconds, cell.talk) for seed in seeds]
            return tracks, await play(url, tracks, threshold)
        level = NOISE if cell.load == "noise" else 0.0
        return [], await listen_to_nothing(url, cell.streams, level, cell.seconds, threshold)
    finally:
        sampling.cancel()


class Watch:
    """What a load costs, from now on."""

    def __init__(self, server: Server, core: int) -> None:
        self._server = server
        self._core = core
        self._memory = [server.memory()]
        self._threads = server.threads()
        self._begin = time.monotonic(), server.cpu(), core_seconds(core), time.process_time()
        self._average = os.getloadavg()[0]

    async def sample(self) -> None:
        """Memory and threads each second."""
        while True:
            self._memory.append(self._server.memory())
            self._threads = max(self._threads, self._server.threads())
            await asyncio.sleep(1.0)

    def stop(self) -> Raw:
        """The totals."""
        began, cpu, (busy, stolen), own = self._begin
        wall, used = time.monotonic() - began, self._server.cpu() - cpu
        now_busy, now_stolen = core_seconds(self._core)
        return {
            "wall_s": round(wall, 2),
            "cpu_s": round(used, 2),
            "driver_core": round((time.process_time() - own) / wall, 3),
            "foreign_core": round((now_busy - busy - used) / wall, 3),
            "stolen_core": round((now_stolen - stolen) / wall, 3),
            "load_average": self._average,
            "memory_mib": [round(self._memory[0], 1), round(max(self._memory), 1), round(self._memory[-1], 1)],
            "threads": self._threads,
        }


def rate(cell: Cell, tracks: list[Track], logs: list[Log], used: Raw) -> Raw:
    """The metrics."""
    total = Score()
    speech = 0.0
    for index, log in enumerate(logs):
        spoken: tuple[Spoken, ...] = tracks[index].spoken if tracks else ()
        tail = None
        if tracks and log.tail_at is not None:
            last = tracks[index].last
            tail = Spoken(log.tail_at + last.start, log.tail_at + last.end, last.text)
            speech += last.end - last.start
        total.add(score(spoken, log.shown, tail))
        speech += sum(utterance.end - utterance.start for utterance in spoken)
    audio = sum(log.sent for log in logs)
    partials = sum(len(words(s.text)) for log in logs for shown in log.shown for s in shown.segments if not s.completed)
    return {
        "metrics": summary(total)
        | {
            "cpu_per_speech_s": used["cpu_s"] / speech if speech else None,
            "cpu_per_stream": used["cpu_s"] / audio if audio else None,
            "partial_words": partials,
            "messages_per_min": 60 * sum(len(log.raw) for log in logs) / audio if audio else None,
            "bytes_per_min": 60 * sum(log.bytes for log in logs) / audio if audio else None,
        },
        "audio_s": round(audio, 2),
        "speech_s": round(speech, 2),
        "late_s": round(max(log.latest for log in logs), 3),
        "problems": sorted({log.problem for log in logs if log.problem}),
        "unserved": sum(log.problem is not None for log in logs),
        "first": [_millis(heard.first) for heard in total.utterances],
        "final": [_millis(heard.final) for heard in total.utterances],
    }


def outline(result: Raw) -> str:
    """For the terminal."""
    shown = {
        name: round(value, 3) if isinstance(value, float) else value
        for name in ("utterances", "never_final", "first_p95", "final_p50", "final_p95", "ne", "wer", "tail",
                     "cpu_per_speech_s", "committed_words", "changes")
        if (value := result["metrics"][name]) is not None
    }  # fmt: skip
    return " ".join(f"{name}={value}" for name, value in shown.items()) + (
        f" | driver {result['driver_core']:.0%} foreign {result['foreign_core']:.0%} late {result['late_s']}"
        f" {result['problems'] or ''}"
    )


def _millis(seconds: float | None) -> int | None:
    return None if seconds is None else round(1000 * seconds)


def _keep(cell: Cell, logs: list[Log]) -> None:
    LOGS.mkdir(parents=True, exist_ok=True)
    rows = [{"tail_at": log.tail_at, "sent": log.sent, "raw": log.raw} for log in logs]
    with gzip.open(LOGS / f"{cell.key}.json.gz", "wt", compresslevel=3) as file:
        json.dump(rows, file)


def _is_hopeless(result: Raw) -> bool:
    metrics = result["metrics"]
    late = metrics["final_p95"] is None or metrics["final_p95"] > SLOW
    return bool(late or metrics["never_final"] or result["unserved"])


def _holds(result: Raw) -> bool:
    """All finals, in time."""
    return not _is_hopeless(result) and bool(result["metrics"]["final_p95"] < LIMIT)
