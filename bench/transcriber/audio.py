"""What the benchmark plays, and what is said in it: bundled clips in random order, pauses, a noise floor."""

from __future__ import annotations

import functools
import wave
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from bench.transcriber.score import Spoken, words
from rehearsal.clips import manifest

RATE = 16_000
FRAME = 320
"""Samples of 20 ms."""
FLOOR = 10 ** (-70 / 20)
"""Root mean square of the noise under everything: a quiet room behind a microphone."""
BEFORE, AFTER = 0.1, 0.05
"""Seconds kept of a clip around its speech."""

TURN_PAUSES_S = (0.8, 2.0)
"""Between clips of real speech in turns, and after a stretch of monologue."""
STRETCH_S = 30.0
"""Of speech without a pause, at least, in a monologue."""

Samples = NDArray[np.float32]
Clips = Mapping[str, tuple[Samples, Spoken]]
"""Samples, and what is said in them, seconds since their beginning."""


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

    def pause(clip: Spoken) -> float:
        length = clip.end - clip.start
        quiet = rng.uniform(0.9, 1.5) if talk == 1.0 else length * (1 / talk - 1) * rng.uniform(0.7, 1.3)
        return float(quiet) - BEFORE - AFTER

    return _lay(rng, sentences(), seconds, rng.uniform(0.4, 1.0) if talk == 1.0 else rng.uniform(0.4, 3.0), pause)


def turns(seed: int, seconds: float, clips: Clips) -> Track:
    """Real speech with pauses, until `seconds` are full; all clips once before one comes again."""
    rng = np.random.default_rng(seed)
    return _lay(rng, clips, seconds, rng.uniform(0.4, 1.0), lambda _: float(rng.uniform(*TURN_PAUSES_S)))


def monologue(seed: int, seconds: float, clips: Clips) -> Track:
    """The same without what is quiet around a clip, in stretches of at least `STRETCH_S` without pauses between clips;
    clips of one word are left out."""
    rng = np.random.default_rng(seed)
    stretch = 0.0

    def pause(clip: Spoken) -> float:
        nonlocal stretch
        stretch += clip.end - clip.start
        if stretch < STRETCH_S:
            return 0.0
        stretch = 0.0
        return float(rng.uniform(*TURN_PAUSES_S))

    talk = {name: _cut(*clip) for name, clip in clips.items() if len(words(clip[1].text)) > 1}
    return _lay(rng, talk, seconds, rng.uniform(0.4, 1.0), pause)


def noise(seed: int, seconds: float, level: float = FLOOR) -> Samples:
    """White noise of this root mean square; 0.0: digital silence."""
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal(_samples(seconds))).astype(np.float32)


def sentences() -> dict[str, tuple[Samples, Spoken]]:
    """Every clip by name, with what is said in it."""
    return {name: _clip(name) for name in sorted(manifest())}


def _lay(
    rng: np.random.Generator, clips: Clips, seconds: float, first: float, pause: Callable[[Spoken], float]
) -> Track:
    """Clips one after another, the first after so many seconds, each followed by so many; 0.0: the speech goes on."""
    names = _names(rng, clips)
    pieces: list[Samples] = []
    spoken: list[Spoken] = []
    position = _samples(first)
    while True:
        clip, said = clips[next(names)]
        begin = position / RATE
        if spoken and begin + len(clip) / RATE > seconds:
            break
        quiet = pause(said)
        spoken.append(Spoken(begin + said.start, begin + said.end, said.text, goes_on=not quiet))
        pieces += [np.zeros(position - sum(map(len, pieces)), np.float32), clip]
        position += len(clip) + _samples(quiet)
    spoken[-1] = replace(spoken[-1], goes_on=False)
    tail, last = clips[next(names)]
    tail = tail[: _samples(last.end)]
    whole = np.concatenate([*pieces, np.zeros(_samples(0.2), np.float32)])
    return Track(_above_floor(whole, rng), tuple(spoken), _above_floor(tail, rng), last)


def _cut(clip: Samples, said: Spoken) -> tuple[Samples, Spoken]:
    """With as much around its speech as the bundled clips have."""
    begin = max(0.0, said.start - BEFORE)
    return clip[_samples(begin) : _samples(said.end + AFTER)], Spoken(said.start - begin, said.end - begin, said.text)


def _above_floor(samples: Samples, rng: np.random.Generator) -> Samples:
    return samples + (FLOOR * rng.standard_normal(len(samples))).astype(np.float32)


def _names(rng: np.random.Generator, clips: Clips) -> Iterator[str]:
    while True:
        yield from (str(name) for name in rng.permutation(sorted(clips)))


@functools.cache
def _clip(name: str) -> tuple[Samples, Spoken]:
    row = manifest()[name]
    with files("rehearsal").joinpath(f"clips/{name}.wav").open("rb") as file, wave.open(file) as audio:
        pcm = np.frombuffer(audio.readframes(audio.getnframes()), "<i2")
    samples = pcm.astype(np.float32) / np.float32(32768)
    return _cut(samples, Spoken(row["start"], row["end"], row["text"]))


def _samples(seconds: float) -> int:
    return round(seconds * RATE)
