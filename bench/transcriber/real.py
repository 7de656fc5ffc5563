"""Real weights and real speech: what is played, in which cells, and what the model makes of it with all the time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.transcriber.audio import RATE, Clips, Track, monologue, noise, turns
from bench.transcriber.headline import Row
from bench.transcriber.results import REAL, Cell, Raw
from bench.transcriber.score import Spoken, words

WORKLOADS = {"turns": turns, "monologue": monologue}
ONCE_S = 95.0
"""Of audio of one stream: time for every clip once, with pauses."""
SHORT_S, LONG_S = 60.0, 300.0
TURNS, MONOLOGUES = (8, 12, 16, 20), (4,)
"""Streams that ours is tried with."""
THEIR_TURNS = (2, 4)
QUICK_S = 20.0
OFFLINE_BEAMS = (1, 5)


@dataclass(frozen=True)
class Material:
    """The folder of a CTranslate2 Whisper, and clips of real speech with transcripts."""

    model: Path
    clips: Clips

    def tracks(self, cell: Cell) -> list[Track]:
        """The same for every server."""
        lay = WORKLOADS[cell.load]
        seeds = (1000 * cell.repetition + index for index in range(cell.streams))
        return [lay(seed, cell.seconds, self.clips) for seed in seeds]


@dataclass(frozen=True)
class Plan:
    """Which cells, in order of importance: the time may run out.

    Args:
        folder: Of results: the long cells are where the short ones say.
        cores: Of the server.
    """

    folder: Path
    cores: int

    def everything(self) -> Iterator[Cell]:
        """Two servers in turns at one stream, ours at more, what it holds for five minutes, theirs at more."""
        for repetition in (0, 1):
            yield self._cell("turns", 1, "ours", ONCE_S, repetition)
            yield self._cell("turns", 1, "tuned", ONCE_S, repetition)
        yield self._cell("monologue", 1, "ours", ONCE_S)
        yield self._cell("monologue", 1, "tuned", ONCE_S)
        for streams in TURNS:
            yield self._cell("turns", streams, "ours", SHORT_S)
        yield from self.knee("turns", (1, *TURNS))
        for streams in MONOLOGUES:
            yield self._cell("monologue", streams, "ours", LONG_S)
        for variant in ("default", "t1", "t0"):
            yield self._cell("turns", 1, variant, SHORT_S)
        for streams in THEIR_TURNS:
            yield self._cell("turns", streams, "tuned", SHORT_S)

    def knee(self, load: str, sizes: tuple[int, ...]) -> Iterator[Cell]:
        """Five minutes with the most streams that a short cell held, and with fewer until such a cell is held too."""
        for streams in reversed(sizes):
            short = self._cell(load, streams, "ours", ONCE_S if streams == 1 else SHORT_S).read(self.folder)
            if short is None or not Row(long := self._cell(load, streams, "ours", LONG_S), [short]).holds:
                continue
            yield long
            if (result := long.read(self.folder)) is None or Row(long, [result]).holds:
                return

    def quick(self) -> Iterator[Cell]:
        """A cell of each kind, to see that all of it works."""
        for load in WORKLOADS:
            for variant in ("ours", "tuned"):
                yield self._cell(load, 1, variant, QUICK_S)

    def _cell(self, load: str, streams: int, variant: str, seconds: float, repetition: int = 0) -> Cell:
        return Cell(REAL, load, 0.0, streams, variant, repetition, self.cores, seconds)


def read_material(model: Path, speech: Path) -> Material:
    """English speech in a quiet room, from a folder as `bench.tracks` reads it.

    Raises:
        OSError: A folder lacks what should be in it.
        ValueError: There is no such speech.
    """
    from bench.tracks import quiet_room, speech_bounds, transcribed
    from common.audio.pcm import to_float

    clips = {}
    for name, (text, sound) in quiet_room(transcribed(speech).get("en", {})).items():
        clips[name] = to_float(sound), Spoken(*speech_bounds(sound), text)
    if len(clips) < 2:
        raise ValueError(
            f"{speech}: at least two English clips with official transcripts are needed (see bench/tracks.py)"
        )
    return Material(model, clips)


def offline(material: Material, beam: int) -> Raw:
    """Each clip by itself with all the time: faster-whisper's own `transcribe`, fallbacks and all, one thread."""
    from faster_whisper import WhisperModel

    from bench.words import offline_errors

    model: Any = WhisperModel(str(material.model), device="cpu", compute_type="int8", cpu_threads=1)
    began = time.process_time()
    errors = [0, 0, 0, 0]
    for samples, spoken in material.clips.values():
        heard = np.concatenate([noise(1, 0.3), samples, noise(2, 0.5)])
        found = offline_errors(model, beam, heard, spoken.text, "en")
        errors = [total + more for total, more in zip(errors, found, strict=True)]
    speech = sum(spoken.end - spoken.start for _, spoken in material.clips.values())
    return {
        "beam": beam,
        "errors": errors[:3],
        "words": errors[3],
        "cpu_per_speech_s": (time.process_time() - began) / speech,
    }


def describe(material: Material) -> Raw:
    """What is played, and to what: nothing of where it lies here."""
    from transcriber.engine.window_sizes import CPU, fingerprint, sizes_for

    sizes = sizes_for(material.model, CPU)
    return {
        "weights": material.model.name,
        "fingerprint": fingerprint(material.model),
        "windows_s": [sizes.partial / 100, sizes.finals("en") / 100, sizes.margin / 100],
        "clips": sorted(material.clips),
        "clip_words": sum(len(words(spoken.text)) for _, spoken in material.clips.values()),
        "clip_s": round(sum(len(samples) for samples, _ in material.clips.values()) / RATE, 1),
    }
