"""`earshot run` but for its ear, which takes what is loud for speech: `python -m tests.support.fakes.tone_bot`.

Tones with numbers in them are no speech for the real detector. SIGUSR1 puts its wall clock an hour ahead, SIGUSR2 an
hour back, as somebody's time server might. `EARSHOT_TONE_BOT_HASTE`: a silent line to the transcriber is noticed after
1.5 s instead of 10. `EARSHOT_TONE_BOT_TASKS` names a file for the number of its tasks, each second.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from types import FrameType

import numpy as np
from numpy.typing import NDArray

from bot import process, transcription
from bot.cli import main
from bot.links.transcriber import dialing
from bot.watchdog import Watchdog

HOUR_S = 3600.0


class ToneEar:
    """In the place of the Silero model."""

    def stream(self) -> object:
        """For one track."""
        return loudness


def loudness(frame: NDArray[np.float32]) -> float:
    """Certain about what is loud."""
    return 1.0 if float(np.abs(frame).max()) > 0.05 else 0.0


def set_clock_on_signals() -> None:
    """From now on `time.time` is what signals make of it."""
    real, shift = time.time, [0.0]

    def on_signal(number: int, frame: FrameType | None) -> None:
        shift[0] += HOUR_S if number == signal.SIGUSR1 else -HOUR_S

    time.time = lambda: real() + shift[0]
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, on_signal)


def count_tasks(path: Path) -> None:
    """Writes their number with each beat of the bot's loop."""
    beat = process._beat

    def counting(loop: asyncio.AbstractEventLoop, watchdog: Watchdog) -> None:
        path.write_text(str(len(asyncio.all_tasks(loop))), encoding="ascii")
        beat(loop, watchdog)

    process._beat = counting


if __name__ == "__main__":
    setattr(transcription, "SileroModel", ToneEar)  # noqa: B010
    if os.environ.get("EARSHOT_TONE_BOT_HASTE"):
        dialing.PING_INTERVAL_S, dialing.SILENT_LINE_S, dialing.OPEN_TIMEOUT_S = 0.5, 1.5, 1.0
    if file := os.environ.get("EARSHOT_TONE_BOT_TASKS"):
        count_tasks(Path(file))
    set_clock_on_signals()
    main()
