"""Our transcriber on a GPU: batches, compute types, streams; its cells are like those of real weights. whisper-live is
not in them: it finds a GPU through PyTorch, which it does not get here."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.transcriber.headline import Row
from bench.transcriber.results import REAL, Cell
from bench.transcriber.servers import GPU
from transcriber.config import Settings
from transcriber.engine.faster_whisper import FasterWhisper

COMPUTE_TYPES = ("float16", "int8_float16")
BATCHES = (1, 2, 4, 8, 16)
"""Windows per call at most."""
STREAMS = (32, 64, 128, 192)
SECONDS = 20.0
NONE = "There is no GPU here that CTranslate2 can use: nothing was measured."


@dataclass(frozen=True)
class Plan:
    """Which cells, given the folder of their results and the server's cores."""

    folder: Path
    cores: int

    def everything(self) -> Iterator[Cell]:
        """The largest batch at ever more streams until they are too many; then the others at the most that it held."""
        for compute_type in COMPUTE_TYPES:
            most = STREAMS[0]
            for streams in STREAMS:
                cell = self._cell(compute_type, BATCHES[-1], streams)
                yield cell
                result = cell.read(self.folder)
                if result is None or not Row(cell, [result]).holds:
                    break
                most = streams
            for batch in BATCHES[:-1]:
                yield self._cell(compute_type, batch, most)

    def quick(self) -> Iterator[Cell]:
        """One."""
        yield self._cell(COMPUTE_TYPES[0], BATCHES[-1], 1)

    def _cell(self, compute_type: str, batch: int, streams: int) -> Cell:
        return Cell(REAL, "turns", 0.0, streams, f"{GPU}{compute_type}-b{batch}", cores=self.cores, length=SECONDS)


def name() -> str | None:
    """Of the first GPU, with its memory and driver; None: there is none that CTranslate2 can use."""
    import ctranslate2

    if not ctranslate2.get_cuda_device_count():
        return None
    asked = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "a GPU that nvidia-smi does not name"
    return said.splitlines()[0].strip()


def _up_to(batch: int) -> Callable[[Settings], FasterWhisper]:
    def load(settings: Settings) -> FasterWhisper:
        from transcriber.engine.faster_whisper import load as load_usual

        engine = load_usual(settings)
        engine.batch = min(engine.batch, batch)
        return engine

    return load


up_to_1, up_to_2, up_to_4, up_to_8, up_to_16 = map(_up_to, BATCHES)
"""Engines as `--engine` names them: the usual one with so many windows per call at most."""
