"""What the conformance tests share: whisper-live's environment, and sentences with known words."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import wave
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rehearsal.clips import manifest
from tests.support.lanes import free_port
from transcriber.engine.models import resolve

ROOT = Path(__file__).parents[2]
CHILDREN = ROOT / "tests/conformance/children"
RATE = 16_000
MARGIN_S = 0.5
"""Seconds by which times may be wrong: half of the shortest pause between two sentences, and what a model rounds."""


@dataclass(frozen=True, slots=True)
class Playing:
    """The stock file client at work."""

    process: subprocess.Popen[str]
    folder: Path
    clips: tuple[str, ...]


def stock_environment() -> dict[str, str]:
    """In which whisper-live can be imported, and uses one core."""
    path = os.pathsep.join([str(ROOT / "tests/conformance/stubs"), str(ROOT)])
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


@contextmanager
def child(*command: str, cwd: Path = ROOT) -> Iterator[subprocess.Popen[str]]:
    """A process that ends with the block; its standard output is a pipe."""
    process = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=cwd,
        env=stock_environment(),
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def stock_server(*arguments: str) -> Iterator[int]:
    """The PyPI server with the demo model, from the moment at which it takes connections; its port."""
    port = free_port()
    with child(str(CHILDREN / "stock_server.py"), str(resolve("demo")), str(port), *arguments) as process:
        for _ in range(200):
            assert process.poll() is None, "the stock server has ended"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield port


def said(clips: Sequence[str]) -> list[str]:
    """The words of bundled clips."""
    return [manifest()[name]["text"] for name in clips]


def speech(clips: Sequence[str], pause: float) -> NDArray[np.int16]:
    """Bundled clips with digital silence between, cut close to the speech: int16 at 16 kHz, shape (n,).

    The end of the last clip is the end of its last word.
    """
    pieces = []
    for name in clips:
        with files("rehearsal").joinpath(f"clips/{name}.wav").open("rb") as file, wave.open(file) as audio:
            assert audio.getframerate() == RATE
            pcm = np.frombuffer(audio.readframes(audio.getnframes()), "<i2")
        clip = manifest()[name]
        pieces += [pcm[round((clip["start"] - 0.1) * RATE) : round((clip["end"] + 0.05) * RATE)]]
        pieces += [np.zeros(round(pause * RATE), np.int16)]
    return np.concatenate(pieces[:-1])


def places(clips: Sequence[str], pause: float) -> list[tuple[float, float]]:
    """When each clip's first word begins and its last one ends in that `speech`, seconds."""
    found, at = [], 0.0
    for name in clips:
        clip = manifest()[name]
        length = round((clip["end"] + 0.05) * RATE) / RATE - round((clip["start"] - 0.1) * RATE) / RATE
        found.append((at + 0.1, at + length - 0.05))
        at += length + pause
    return found


def pieces_of(clips: Sequence[str], pause: float, finals: Iterable[tuple[float, float, str]]) -> list[str]:
    """The words of each clip, put together of the finals (start, end, text) that lie in it, in their order.

    A stock server may complete a sentence in pieces. Each must lie where its words were said, after the one before.
    """
    spoken, last = ["" for _ in clips], 0.0
    for start, end, text in finals:
        middle = (start + end) / 2
        number, (first, until) = min(
            enumerate(places(clips, pause)), key=lambda place: abs(middle - (place[1][0] + place[1][1]) / 2)
        )
        assert last - MARGIN_S <= start <= end, "in order, and nothing twice"
        assert first - MARGIN_S <= start <= end <= until + MARGIN_S, f"{text!r} at {start:.2f}-{end:.2f} s"
        spoken[number] = f"{spoken[number]} {text.strip()}".strip()
        last = end
    return spoken


def write(path: Path, pcm: NDArray[np.int16]) -> Path:
    """A WAV file."""
    with wave.open(str(path), "wb") as audio:
        audio.setparams((1, 2, RATE, 0, "NONE", ""))
        audio.writeframes(pcm.tobytes())
    return path
