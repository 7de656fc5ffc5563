"""Training windows, each composed anew: what is heard, and the segments and words that are in it."""

from __future__ import annotations

import pickle
import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from augment import RATE, degrade, noise, opus, speed
from faster_whisper.feature_extractor import FeatureExtractor

LONGEST = 15.0
"""Seconds in a window."""
PAUSE = 0.4
"""A pause this long begins a new segment."""
KINDS = {"single": 25, "several": 32, "cut": 20, "splice": 18, "silence": 5}
Words = list[tuple[str, float, float]]
EXTRACT = FeatureExtractor()


@dataclass(frozen=True)
class Window:
    """Mel features, shape (80, frames of 10 ms), and their truth in seconds."""

    features: np.ndarray
    segments: list[Words]
    blurred: list[tuple[float, float]] = field(default_factory=list)
    """Stretches of words that are cut: neither speech to be written nor silence."""
    is_cut_off: bool = False
    """The last segment goes on beyond a full window."""


class Composer:
    """Endless windows from clean utterances."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._rng, self._numbers = random.Random(seed), np.random.default_rng(seed)
        self._by_voice: dict[str, list[tuple[np.ndarray, Words]]] = {}
        for path in sorted(folder.glob("clean-*.pkl")):
            for voice, samples, words in pickle.loads(path.read_bytes()):
                self._by_voice.setdefault(voice, []).append((samples, words))
        if not self._by_voice:
            raise SystemExit(f"no utterances in {folder}: run synthesise.py first")
        self._voices = [voice for voice, spoken in self._by_voice.items() for _ in spoken]

    def window(self, longest: float) -> Window:
        """One window of at most this many seconds."""
        while True:
            kind = self._rng.choices(list(KINDS), list(KINDS.values()))[0]
            window = self._silence() if kind == "silence" else self._speech(kind, longest)
            if window is not None:
                return window

    def _utterance(self, voice: str) -> tuple[np.ndarray, Words]:
        samples, words = self._rng.choice(self._by_voice[voice])
        level = 10 ** (-self._rng.uniform(0, 4) / 20) / 32768
        return speed(samples.astype(np.float32) * level, words, self._rng)

    def _speech(self, kind: str, longest: float) -> Window | None:
        """None where it came out too long or too short."""
        rng = self._rng
        voice = rng.choice(self._voices)
        count = {"single": 1, "splice": 1, "cut": rng.choice([1, 1, 2, 3, 4]), "several": rng.randint(2, 5)}[kind]
        pieces = []
        for number in range(count):
            speaker = voice if number == 0 or rng.random() < 0.7 else rng.choice(self._voices)
            pieces.append(self._splice(voice) if kind == "splice" else self._utterance(speaker))
        samples, words = self._lay(pieces)
        start, end = 0.0, len(samples) / RATE
        if kind == "cut":
            chance = rng.random()
            if chance < 0.75:  # a growing prefix
                end = rng.uniform(0.3, end)
            if chance > 0.55:  # begins in the middle of a word
                start = rng.uniform(0, max(0.0, end - 0.4))
        is_cut_off = end - start > LONGEST
        end = min(end, start + LONGEST)
        if not 0.2 < end - start <= longest:
            return None
        heard = samples[int(start * RATE) : int(end * RATE)]
        segments, blurred = visible(words, start, end)
        return Window(features(degrade(heard, rng, self._numbers)), segments, blurred, is_cut_off)

    def _splice(self, voice: str) -> tuple[np.ndarray, Words]:
        """Random spans of one voice: rare words become common, and the decoder cannot recite sentences."""
        parts, words, position = [], Words(), 0
        for _ in range(self._rng.randint(2, 6)):
            samples, spoken = self._utterance(voice)
            first = self._rng.randrange(len(spoken))
            span = spoken[first : first + self._rng.randint(1, 5)]
            begin, end = int(span[0][1] * RATE), int(span[-1][2] * RATE)
            part = samples[begin:end].copy()
            fade = min(96, len(part) // 2)
            if not fade:
                continue
            ramp = np.linspace(0, 1, fade, dtype=np.float32)
            part[:fade] *= ramp
            part[-fade:] *= ramp[::-1]
            shift = (position - begin) / RATE
            words += [(word, start + shift, stop + shift) for word, start, stop in span]
            parts.append(part)
            position += len(part)
        return np.concatenate(parts), words

    def _lay(self, pieces: list[tuple[np.ndarray, Words]]) -> tuple[np.ndarray, Words]:
        """One after the other, with silence before, between and after."""
        rng = self._rng
        lead = rng.choice([0, rng.uniform(0, 0.3), rng.uniform(0, 1.0), rng.uniform(0, 2.5)])
        parts, words = [np.zeros(int(lead * RATE), np.float32)], Words()
        position = len(parts[0])
        for number, (samples, spoken) in enumerate(pieces):
            if number and (position + len(samples)) / RATE > LONGEST + 3:
                break
            words += [(word, start + position / RATE, end + position / RATE) for word, start, end in spoken]
            last = number == len(pieces) - 1
            tail = rng.choice([0, rng.uniform(0, 0.3), rng.uniform(0, 1.5), rng.uniform(0, 3)])
            gap = np.zeros(int((tail if last else rng.uniform(0, 1.2)) * RATE), np.float32)
            parts += [samples, gap]
            position += len(samples) + len(gap)
        return np.concatenate(parts), words

    def _silence(self) -> Window:
        rng, count = self._rng, int(self._rng.uniform(0.3, 3.2) * RATE)
        chance, samples = rng.random(), np.zeros(count)
        if chance > 0.85:  # clicks and beeps
            samples = 1e-3 * self._numbers.standard_normal(count)
            for _ in range(rng.randint(1, 4)):
                length = min(count - 1, int(rng.uniform(0.005, 0.5) * RATE))
                first, tone = rng.randrange(count - length), rng.uniform(150, 3500)
                wave = np.sin(2 * np.pi * tone * np.arange(length) / RATE)
                burst = wave if rng.random() < 0.6 else self._numbers.standard_normal(length)
                samples[first : first + length] += rng.uniform(0.05, 0.8) * burst
        elif chance > 0.15:
            samples = noise(count, rng, self._numbers)
            samples *= 10 ** (-rng.uniform(5, 75) / 20) / np.abs(samples).max()
        heard = samples.astype(np.float32)
        return Window(features(opus(heard, 24_000) if rng.random() < 0.3 else heard), [])


def features(samples: np.ndarray) -> np.ndarray:
    """What faster-whisper computes; its last frame is not content."""
    return EXTRACT(samples)[:, :-1].astype(np.float32)


def visible(words: Words, start: float, end: float) -> tuple[list[Words], list[tuple[float, float]]]:
    """Segments of the words that are whole between two times, relative to `start`, and what is seen of others."""
    segments: list[Words] = []
    blurred = []
    for word, first, last in words:
        seen = min(last, end) - max(first, start)
        span = (max(first, start) - start, min(last, end) - start)
        if seen >= 0.75 * (last - first) or (seen > 0 and seen >= last - first - 0.06):
            if not segments or span[0] - segments[-1][-1][2] >= PAUSE:
                segments.append([])
            segments[-1].append((word, *span))
        elif seen > 0:
            blurred.append(span)
    return segments, blurred
