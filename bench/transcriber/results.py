"""The raw results as numbers: medians over repetitions, and how many streams a server holds."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent / "raw"
REAL = "real"
"""The model of cells with real weights and real speech; which ones: `real.json` beside them."""
SLOW, LIMIT = 10.0, 2.0
"""Final p95 in seconds that is hopeless, and that is wanted."""
SIZES = (1, 2, 4, 8, 16, 32, 48, 64, 96, 128)
"""Streams; more than 32 only for who holds as many as were tried before."""

Raw = dict[str, Any]


class Workload(NamedTuple):
    """What the servers are given, at ever more streams: a model, a share of the time with speech, and cores."""

    model: str
    talk: float
    cores: int = 1

    @property
    def title(self) -> str:
        """In words."""
        model = "demo model" if self.model == "demo" else "base-shaped model"
        return f"{model}, {self.talk:.0%} talk" + (f", {self.cores} cores" if self.cores > 1 else "")

    @property
    def sizes(self) -> tuple[int, ...]:
        """The numbers of streams to try."""
        return SIZES if self.model == "demo" else SIZES[:4]


TALKING = Workload("demo", 1.0)
BASE = Workload("base", 1.0)
TWO_CORES = Workload("demo", 1.0, cores=2)
WORKLOADS = (TALKING, Workload("demo", 0.25), BASE, TWO_CORES)


@dataclass(frozen=True, slots=True)
class Cell:
    """What is measured.

    Args:
        load: speech, silence or noise; with real weights turns or monologue.
        talk: Share of the time in which somebody speaks, of each stream; 0.0 where that is as it comes.
        length: Seconds of audio; 0.0: the usual ones.
    """

    model: str
    load: str
    talk: float
    streams: int
    variant: str
    repetition: int = 0
    cores: int = 1
    length: float = 0.0

    @property
    def key(self) -> str:
        """Its file's name."""
        share = f"-{self.talk:.0%}".rstrip("%") if self.load == "speech" else ""
        again = f"-r{self.repetition}" if self.repetition else ""
        cores = f"-{self.cores}cores" if self.cores > 1 else ""
        long = f"-{self.length:g}s" if self.length else ""
        return f"{self.model}-{self.load}{share}{cores}-n{self.streams:02}-{self.variant}{long}{again}"

    @property
    def seconds(self) -> float:
        """Of audio: few streams have few utterances."""
        if self.length:
            return self.length
        if self.load != "speech":
            return 30.0
        return {1: 50.0, 2: 40.0}.get(self.streams, 32.0)

    def path(self, folder: Path = FOLDER) -> Path:
        """Its results."""
        return folder / f"{self.key}.json"

    def read(self, folder: Path = FOLDER) -> Raw | None:
        """None before it has run."""
        path = self.path(folder)
        return json.loads(path.read_text()) if path.exists() else None


def is_hopeless(raw: Raw) -> bool:
    """Far too late, or something was lost."""
    metrics = raw["metrics"]
    late = metrics["final_p95"] is None or metrics["final_p95"] > SLOW
    return bool(late or metrics["never_final"] or raw["unserved"] or not raw["survived"])


def holds(raw: Raw) -> bool:
    """All finals, in time."""
    return not is_hopeless(raw) and bool(raw["metrics"]["final_p95"] < LIMIT)


@dataclass(frozen=True)
class Results:
    """All cells that were run.

    Args:
        cells: key → result, repetitions included; of the demo model and its stand-in.
        extra: machine, offline and soak, real and gpu (what those cells ran with), as far as they are there.
        real: The same with real weights and real speech.
    """

    cells: dict[Cell, Raw]
    extra: dict[str, Raw]
    real: dict[Cell, Raw] = field(default_factory=dict)

    def repetitions(self, work: Workload, streams: int, variant: str) -> list[Raw]:
        """Of one size."""
        first = Cell(work.model, "speech", work.talk, streams, variant, cores=work.cores)
        return [raw for cell, raw in self.cells.items() if replace(cell, repetition=0) == first]

    def middle(self, work: Workload, streams: int, variant: str, metric: str) -> float | None:
        """Median over the repetitions; None where it was not measured or there was nothing to measure."""
        rows = [raw["metrics"][metric] for raw in self.repetitions(work, streams, variant)]
        return statistics.median(rows) if rows and None not in rows else None

    def capacity(self, work: Workload, variant: str) -> int:
        """The most streams that it holds in most repetitions, and all sizes below; 0: not even one."""
        best = 0
        for size in SIZES:
            rows = self.repetitions(work, size, variant)
            if not rows or sum(map(holds, rows)) * 2 <= len(rows):
                break
            best = size
        return best

    def speech(self, variant: str) -> list[Raw]:
        """Every cell of a variant with speech."""
        return [raw for cell, raw in self.cells.items() if cell.variant == variant and cell.load == "speech"]


def read(folder: Path = FOLDER) -> Results:
    """What is in the results folder."""
    found = Results({}, {})
    for path in sorted(folder.glob("*.json")):
        raw = json.loads(path.read_text())
        if "cell" in raw:
            cell = Cell(**raw["cell"])
            (found.real if cell.model == REAL else found.cells)[cell] = raw
        else:
            found.extra[path.stem] = raw
    return found
