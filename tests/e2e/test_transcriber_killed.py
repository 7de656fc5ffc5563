"""A real transcriber dies in the middle of a sentence and comes back: not a word is lost or said twice."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rehearsal.clips import load_clip
from tests.support.lanes import running_lane

pytestmark = [pytest.mark.processes, pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(60)]

FRAME = 1600


def end(process: subprocess.Popen[str]) -> None:
    """Kills it, and closes what we read from."""
    process.kill()
    process.communicate()


def transcriber(port: int = 0) -> tuple[subprocess.Popen[str], str]:
    """A transcriber with the demo model, as a process; returns it with its URL."""
    command = [sys.executable, "-m", "transcriber", "--model", "demo", "--port", str(port), "--http-port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


async def test_kill_and_restart_in_mid_sentence() -> None:
    """SIGKILL while the second of four sentences is spoken, a restart a second later: all four, once, in order."""
    clips = [load_clip(name, Path()) for name in ("ana1", "ben2", "ana3", "ewan5")]
    process, url = await asyncio.to_thread(transcriber)
    try:
        async with running_lane(url) as (lane, notes):
            for number, clip in enumerate(clips):
                pcm = clip.pcm[: clip.speech[1] + 9600 : 3].astype(np.int16)  # 48 kHz → 16 kHz
                for start in range(0, len(pcm), FRAME):
                    lane.append(pcm[start : start + FRAME])
                    await asyncio.sleep(FRAME / 16_000)
                    if number == 1 and start == 10 * FRAME:
                        end(process)
                        process, again = await asyncio.to_thread(transcriber, int(url.rpartition(":")[2]))
                        assert again == url
                lane.end_utterance()
                await lane.settled()
    finally:
        end(process)
    assert notes.finals == [clip.text for clip in clips]
    assert (notes.links[0], notes.links[-1]) == (False, True)
