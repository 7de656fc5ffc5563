"""What the benchmark plays, and what is said in it: bundled clips in random order, pauses, a noise floor."""

from __future__ import annotations

import functools
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from bench.transcriber.score import Spoken
from rehearsal.clips import manifest

RATE = 16_000
FRAME = 320
"""Samples of 20 ms."""
FLOOR = 10 ** (-70 / 20)
"""Root mean square of the noise under everything: a quiet room behind a microphone."""
BEFORE, AFTER = 0.1, 0.05
"""Seconds kept of a clip around its speech."""

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Track:
    """One participant.

    Args:
        samples: float32 at 16 kHz in [-1, 1], shape (n,); after them comes the noise floor for as long as it takes.
        spoken: What is said in them.
        tail: One more sentence, shape (m,); END_OF_AUDIO follows right after its last word.
        last: What is said in the tail, seconds since its beginning.
    """

    samples: Samples
    spoken: tuple[Spoken, ...]
    tail: Samples
    last: Spoken


def track(seed: int, seconds: float, talk: float) -> Track:
    """Sentences until `seconds` are full, all clips once before one comes again.

    Args:
        talk: 1.0: pauses of 0.9 to 1.5 s. Below: pauses around the length that makes speech this share of the time.
    """
    rng = np.random.default_rng(seed)
    names = _names(rng)
    pieces: list[Samples] = []
    spoken: list[Spoken] = []
    position = _samples(rng.uniform(0.4, 1.0) if talk == 1.0 else rng.uniform(0.4, 3.0))
    while True:
        clip, words = _clip(next(names))
        begin = position / RATE
        if spoken and begin + len(clip) / RATE > seconds:
            break
        spoken.append(Spoken(begin + words.start, begin + words.end, words.text))
        pieces += [np.zeros(position - sum(map(len, pieces)), np.float32), clip]
        length = words.end - words.start
        pause = rng.uniform(0.9, 1.5) if talk == 1.0 else length * (1 / talk - 1) * rng.uniform(0.7, 1.3)
        position += len(clip) + _samples(pause - BEFORE - AFTER)
    tail, last = _clip(next(names))
    tail = tail[: _samples(last.end)]
    whole = np.concatenate([*pieces, np.zeros(_samples(0.2), np.float32)])
    return Track(_above_floor(whole, rng), tuple(spoken), _above_floor(tail, rng), last)


def noise(seed: int, seconds: float, level: float = FLOOR) -> Samples:
    """White noise of this root mean square; 0.0: digital silence."""
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal(_samples(seconds))).astype(np.float32)


def sentences() -> dict[str, tuple[Samples, Spoken]]:
    """Every clip by name, with what is said in it."""
    return {name: _clip(name) for name in sorted(manifest())}


def _above_floor(samples: Samples, rng: np.random.Generator) -> Samples:
    return samples + (FLOOR * rng.standard_normal(len(samples))).astype(np.float32)


def _names(rng: np.random.Generator) -> Iterator[str]:
    while True:
        yield from (str(name) for name in rng.permutation(sorted(manifest())))


@functools.cache
def _clip(name: str) -> tuple[Samples, Spoken]:
    row = manifest()[name]
    with files("rehearsal").joinpath(f"clips/{name}.wav").open("rb") as file, wave.open(file) as audio:
        pcm = np.frombuffer(audio.readframes(audio.getnframes()), "<i2")
    begin = max(0.0, row["start"] - BEFORE)
    samples = pcm[_samples(begin) : _samples(row["end"] + AFTER)].astype(np.float32) / np.float32(32768)
    return samples, Spoken(row["start"] - begin, row["end"] - begin, row["text"])


def _samples(seconds: float) -> int:
    return round(seconds * RATE)
