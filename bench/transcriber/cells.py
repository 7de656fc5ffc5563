"""The grid: one cell is a fresh server under one load and one JSON file; cells that have theirs are not run again."""

from __future__ import annotations

import asyncio
import functools
import gc
import gzip
import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from bench.transcriber.audio import Track, track
from bench.transcriber.driver import Log, listen_to_nothing, play, warm_up
from bench.transcriber.real import Material
from bench.transcriber.results import BASE, FOLDER, REAL, TALKING, TWO_CORES, Cell, Raw, Workload, holds, is_hopeless
from bench.transcriber.score import Score, Spoken, parse, score, summary, words
from bench.transcriber.servers import VARIANTS, Server, core_seconds, running, variant_of

LOGS = Path(__file__).parents[2] / "build" / "bench-transcriber"
"""Every message of every cell, to score them again."""
NOISE = 10 ** (-50 / 20)
"""Root mean square of the noise that quiet streams hear."""

DISTURBED = 0.3
"""Share of a core of the server that others may use: whisper-live at one stream leaves that much to anybody."""
LATE = 0.5
"""Seconds that a frame may be late where the server is not to blame."""
AROUND_S = {REAL: 35.0}
"""Seconds that a cell takes beside its audio: start, warm-up, last finals, tail."""


class Plan:
    """Which cell is next, given what there is. Variants take turns within each number of streams."""

    def speech(self, work: Workload) -> Iterator[Cell]:
        """Ever more streams; a variant that was hopeless or lost something at two sizes in a row goes no further."""
        failed: dict[str, int] = dict.fromkeys(VARIANTS, 0)
        held = dict.fromkeys(VARIANTS, True)
        for size in work.sizes:
            for variant in VARIANTS:
                cell = Cell(work.model, "speech", work.talk, size, variant, cores=work.cores)
                if failed[variant] >= 2 or (size > 32 and not held[variant]):
                    continue
                yield cell
                if (result := cell.read()) is not None:
                    failed[variant] = failed[variant] + 1 if is_hopeless(result) else 0
                    held[variant] = holds(result)

    def quiet(self) -> Iterator[Cell]:
        """Nobody speaks."""
        for load in ("silence", "noise"):
            for variant in VARIANTS:
                yield Cell("demo", load, 0.0, 16, variant)

    def knees(self, work: Workload) -> Iterator[Cell]:
        """Twice more: one stream, the most streams that each variant holds, and the fewest that it does not."""
        edges: list[Cell] = []
        for variant in VARIANTS:
            tried = [Cell(work.model, "speech", work.talk, size, variant, cores=work.cores) for size in work.sizes]
            cells = [cell for cell in tried if cell.read()]
            held = [cell for cell in cells if (raw := cell.read()) and holds(raw)]
            broken = [cell for cell in cells if cell not in held]
            edges += dict.fromkeys([*cells[:1], *held[-1:], *broken[:1]])
        for repetition in (1, 2):
            for cell in edges:
                yield replace(cell, repetition=repetition)

    def everything(self) -> Iterator[Cell]:
        """In the order of importance: the time may run out."""
        yield from self.speech(TALKING)
        yield from self.speech(BASE)
        yield from self.quiet()
        yield from self.knees(TALKING)
        yield from self.speech(Workload("demo", 0.25))
        yield from self.speech(TWO_CORES)
        yield from self.knees(BASE)


def run_all(
    cells: Iterator[Cell], server_cores: Sequence[int], until: float, folder: Path = FOLDER,
    material: Material | None = None,
) -> None:  # fmt: skip
    """Runs what has no results in this folder yet, until this time (`time.monotonic`)."""
    for cell in cells:
        if cell.path(folder).exists():
            continue
        if cell.cores > len(server_cores):
            print(f"{cell.key}: name {cell.cores} cores with --server-cores", flush=True)
            continue
        if time.monotonic() + cell.seconds + AROUND_S.get(cell.model, 25.0) > until:
            print(f"{cell.key}: no time left", flush=True)
            return
        begin = time.monotonic()
        result = run(cell, server_cores[: cell.cores], material)
        if folder == FOLDER and is_disturbed(result) and begin + 2 * (time.monotonic() - begin) < until:
            print(f"{cell.key}: disturbed, once more", flush=True)
            result = run(cell, server_cores[: cell.cores], material)
        write(cell, result, folder)
        print(f"{cell.key}: {time.monotonic() - begin:.0f} s  {outline(result)}", flush=True)


@functools.cache
def revision() -> str:
    """The commit that is measured."""
    root = Path(__file__).parent
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True, check=False)
    return git.stdout.strip() or "unknown"


def prefer(core: int) -> None:
    """This process and the servers that it starts go before whatever else runs on their cores, if it may."""
    os.sched_setaffinity(0, {core})
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -20)


def run(cell: Cell, cores: Sequence[int], material: Material | None = None) -> Raw:
    """Measures one cell; with real weights where there is material."""
    variant = variant_of(cell.variant)
    tracks = _tracks(cell, material)
    with running(variant, str(material.model) if material else cell.model, cores) as server:
        asyncio.run(warm_up(server.url, track(999, 6.0, 1.0), variant.threshold))
        time.sleep(1.0)
        watch = Watch(server, cores)
        gc.collect()
        gc.disable()
        try:
            logs = asyncio.run(_load(cell, tracks, server.url, watch))
        finally:
            gc.enable()
        used = watch.stop()
        survived = server.is_running
        if any(log.problem for log in logs):
            print(server.log.read_text(errors="replace")[-3000:], flush=True)
    _keep(cell, logs)
    where = {
        "cell": asdict(cell),
        "commit": revision(),
        "core": ", ".join(map(str, cores)),
        "at": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    return where | {"survived": survived} | used | rate(cell, tracks, logs, used)


async def _load(cell: Cell, tracks: list[Track], url: str, watch: Watch) -> list[Log]:
    threshold = variant_of(cell.variant).threshold
    sampling = asyncio.create_task(watch.sample())
    try:
        if tracks:
            return await play(url, tracks, threshold)
        level = NOISE if cell.load == "noise" else 0.0
        return await listen_to_nothing(url, cell.streams, level, cell.seconds, threshold)
    finally:
        sampling.cancel()


class Watch:
    """What a load costs, from now on."""

    def __init__(self, server: Server, cores: Sequence[int]) -> None:
        self._server = server
        self._cores = cores
        self._memory = [server.memory()]
        self._threads = server.threads()
        self._begin = time.monotonic(), server.cpu(), core_seconds(cores), time.process_time()
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
        mine = time.process_time() - own
        shared = mine if os.sched_getaffinity(0) <= set(self._cores) else 0.0
        now_busy, now_stolen = core_seconds(self._cores)
        return {
            "wall_s": round(wall, 2),
            "cpu_s": round(used, 2),
            "driver_core": round(mine / wall, 3),
            "foreign_core": round((now_busy - busy - used - shared) / wall, 3),
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
        "words": total.words,
        "audio_s": round(audio, 2),
        "speech_s": round(speech, 2),
        "late_s": round(max(log.latest for log in logs), 3),
        "problems": sorted({log.problem for log in logs if log.problem}),
        "unserved": sum(log.problem is not None for log in logs),
        "first": [_millis(heard.first) for heard in total.utterances],
        "final": [_millis(heard.final) for heard in total.utterances if not heard.spoken.goes_on],
        "wait": [_millis(heard.final) for heard in total.utterances if heard.spoken.goes_on],
    }


def is_disturbed(result: Raw) -> bool:
    """Others, or the hypervisor, had too much of the server's core, or something held the load generator up."""
    others = result["foreign_core"] + result["stolen_core"]
    return bool(others > DISTURBED or (result["late_s"] > LATE and not is_hopeless(result)))


def rescore(cell: Cell, material: Material | None = None) -> None:
    """Scores the messages of a cell again, as far as they are still there; real ones with the same clips."""
    raw, kept = cell.read(), LOGS / f"{cell.key}.json.gz"
    if raw is None or not kept.exists():
        return
    with gzip.open(kept, "rt") as file:
        logs = [_log(row) for row in json.load(file)]
    write(cell, raw | rate(cell, _tracks(cell, material), logs, raw), FOLDER)


def write(cell: Cell, raw: Raw, folder: Path) -> None:
    """Its file; seconds to the tenth of a millisecond."""
    folder.mkdir(parents=True, exist_ok=True)
    raw["metrics"] = {k: round(v, 4) if isinstance(v, float) else v for k, v in raw["metrics"].items()}
    cell.path(folder).write_text(json.dumps(raw, separators=(",", ":")) + "\n")


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


def _tracks(cell: Cell, material: Material | None) -> list[Track]:
    """The same for every variant; none where nobody speaks."""
    if cell.load in ("silence", "noise"):
        return []
    if material is not None:
        return material.tracks(cell)
    return [track(1000 * cell.repetition + index, cell.seconds, cell.talk) for index in range(cell.streams)]


def _log(row: Raw) -> Log:
    log = Log(
        raw=[(at, text) for at, text in row["raw"]], problem=row["problem"], sent=row["sent"], tail_at=row["tail_at"],
        latest=row["latest"],
    )  # fmt: skip
    log.shown = [shown for at, text in log.raw if (shown := parse(at, text))]
    return log


def _keep(cell: Cell, logs: list[Log]) -> None:
    LOGS.mkdir(parents=True, exist_ok=True)
    rows = [
        {"tail_at": log.tail_at, "sent": log.sent, "problem": log.problem, "latest": log.latest, "raw": log.raw}
        for log in logs
    ]
    with gzip.open(LOGS / f"{cell.key}.json.gz", "wt", compresslevel=3) as file:
        json.dump(rows, file)
