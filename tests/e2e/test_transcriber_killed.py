"""A real transcriber dies in the middle of a sentence and comes back: not a word is lost or said twice."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bot.links.transcriber.conversation import EXTENSIONS, LaneText
from bot.links.transcriber.lane import Lane
from common.whisperlive.protocol import Handshake, Resume
from rehearsal.clips import load_clip

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


class Finals:
    """The completed texts of a lane, in order."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.links: list[bool] = []

    def text(self, lane: int, text: LaneText) -> None:
        """A segment."""
        if text.wire.completed:
            self.texts.append(text.wire.text.strip())

    def decided(self, lane: int, sample: int) -> None:
        """Nothing to note."""

    def granted(self, lane: int, extensions: frozenset[str]) -> None:
        """A greeting."""

    def link(self, up: bool, detail: str) -> None:
        """A connection was made or lost."""
        self.links.append(up)


async def test_kill_and_restart_in_mid_sentence() -> None:
    """SIGKILL while the second of four sentences is spoken, a restart a second later: all four, once, in order."""
    clips = [load_clip(name, Path()) for name in ("ana1", "ben2", "ana3", "ewan5")]
    process, url = await asyncio.to_thread(transcriber)
    notes = Finals()

    def hello(sample: int) -> Handshake:
        resume = Resume("before", sample) if sample else None
        return Handshake("bot", language="en", extensions=EXTENSIONS, resume=resume)

    lane = Lane(1, (url,), hello, notes)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(lane.run())
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
            lane.close()
    finally:
        end(process)
    assert notes.texts == [clip.text for clip in clips]
    assert notes.links[0]
    assert not all(notes.links)
