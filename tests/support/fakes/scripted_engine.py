"""An engine without a model: tones are words. Its detector takes what is loud for speech."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt

from transcriber.core.languages import choose_language
from transcriber.core.windows import Hypothesis, Window, Word

RATE = 16_000
BLOCK = 1600
TONES = {400: "alpha", 800: "bravo", 1200: "charlie", 1600: "delta", 2000: "echo", 2400: "anton", 2800: "berta"}
GERMAN = {"anton", "berta"}
"""The others are English."""


def tone(word: str, seconds: float = 0.6) -> npt.NDArray[np.int16]:
    """The sound of a word, int16 at 16 kHz."""
    frequency = next(f for f, w in TONES.items() if w == word)
    time = np.arange(round(seconds * RATE)) / RATE
    return (8000 * np.sin(2 * np.pi * frequency * time)).astype(np.int16)


def silence(seconds: float) -> npt.NDArray[np.int16]:
    """Digital silence."""
    return np.zeros(round(seconds * RATE), np.int16)


def speech_probabilities(frames: npt.NDArray[np.float32]) -> list[float]:
    """Certain about what is loud."""
    return [1.0 if float(np.abs(frame).max()) > 0.05 else 0.0 for frame in frames]


class ScriptedDetector:
    """In the place of the Silero model."""

    def batched(self) -> Callable[[npt.NDArray[np.float32]], list[float]]:
        """For one speaker."""
        return speech_probabilities


class ScriptedEngine:
    """Hears each tone of at least 200 ms as its word; each word is evidence for its language.

    `fail` makes the next passes raise; clearing `go` makes passes hang until it is set; `timed`: words have times.
    """

    name = "scripted"
    languages = frozenset({"en", "de"})
    batch = full_batch = 1
    longest_window = 30.0

    def __init__(self, *, timed: bool = False) -> None:
        self.fail = 0
        self._timed = timed
        self.go = threading.Event()
        self.go.set()
        self.windows: list[Window] = []
        self.asked = 0
        """Passes begun, also those that hang."""

    def transcribe(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """One hypothesis per window."""
        self.asked += 1
        self.go.wait(30)
        self.windows += windows
        if self.fail:
            self.fail -= 1
            raise RuntimeError("scripted failure")
        return [self._hear(window) for window in windows]

    def _hear(self, window: Window) -> Hypothesis:
        heard = [word_in(block) for block in np.split(window.samples, range(BLOCK, len(window.samples), BLOCK))]
        runs = [list(run) for _, run in groupby(enumerate(heard), key=lambda block: block[1])]
        times = [(run[0][1], run[0][0], run[-1][0] + 1) for run in runs if run[0][1] and len(run) >= 2]
        words = [word for word, *_ in times if word]
        language, probability = (window.language, 1.0) if window.language else _language(words, window)
        timed = tuple(Word(f" {word}", first / 10, last / 10, 1.0) for word, first, last in times)
        return Hypothesis(" ".join(words), language, probability, tokens=len(words), words=timed if self._timed else ())


def _language(words: Sequence[str], window: Window) -> tuple[str, float]:
    german = sum(word in GERMAN for word in words) / max(1, len(words))
    shares = {"en": 1 - german, "de": german}
    return choose_language(shares, prior=window.prior, allowed=window.allowed, seconds=len(window.samples) / RATE)


def word_in(block: npt.NDArray[np.int16]) -> str | None:
    """The word of a tenth of a second, None for silence."""
    if len(block) < BLOCK or float(np.abs(block).max()) < 2000:
        return None
    spectrum = np.abs(np.fft.rfft(block))
    return TONES.get(round(int(spectrum.argmax()) * RATE / BLOCK / 400) * 400)
