"""A real transcriber dies in the middle of a sentence and comes back: not a word is lost or said twice."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest

from rehearsal.clips import load_clip
from tests.support.lanes import running_lane
from tests.support.processes import ended

pytestmark = [pytest.mark.processes, pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(60)]

FRAME = 1600


async def transcriber(stack: AsyncExitStack, port: int = 0) -> tuple[Process, str]:
    """A transcriber with the demo model, as a process that is gone with the stack; returns it with its URL."""
    command = [sys.executable, "-m", "transcriber", "--model", "demo", "--port", str(port), "--http-port", "0"]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=DEVNULL)
    await stack.enter_async_context(ended(process))  # before it is waited for: a test that times out there ends it, too
    assert process.stdout is not None
    return process, (await process.stdout.readline()).decode().strip()


async def test_kill_and_restart_in_mid_sentence() -> None:
    """SIGKILL while the second of four sentences is spoken, a restart a second later: all four, once, in order."""
    clips = [load_clip(name, Path()) for name in ("ana1", "ben2", "ana3", "ewan5")]
    async with AsyncExitStack() as stack:
        process, url = await transcriber(stack)
        async with running_lane(url) as (lane, notes):
            for number, clip in enumerate(clips):
                pcm = clip.pcm[: clip.speech[1] + 9600 : 3].astype(np.int16)  # 48 kHz → 16 kHz
                for start in range(0, len(pcm), FRAME):
                    lane.append(pcm[start : start + FRAME])
                    await asyncio.sleep(FRAME / 16_000)
                    if number == 1 and start == 10 * FRAME:
                        process.kill()
                        await process.wait()
                        _, again = await transcriber(stack, int(url.rpartition(":")[2]))
                        assert again == url
                lane.end_utterance()
                await lane.settled()
    assert notes.finals == [clip.text for clip in clips]
    assert (notes.links[0], notes.links[-1]) == (False, True)
