"""A whole transcriber that takes tones for words: `python -m tests.support.fakes.scripted_service PORT`."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from common.logging import configure_logging
from tests.support.fakes.scripted_engine import ScriptedDetector
from tests.support.processes import ended
from transcriber import service
from transcriber.config import Settings

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def process(port: int = 0) -> AsyncIterator[tuple[Process, str]]:
    """It and its URL, once it is ready; gone after the block."""
    command = [sys.executable, "-m", "tests.support.fakes.scripted_service", str(port)]
    started = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL)
    async with ended(started):
        assert started.stdout
        async with asyncio.timeout(15):
            url = (await started.stdout.readline()).decode().strip()
        yield started, url


def main() -> None:
    """Serves until a signal."""
    configure_logging("error")
    service.speech_model = ScriptedDetector  # type: ignore[assignment]
    engine = "tests.support.engines:scripted"
    asyncio.run(service.run(Settings(model="m", port=int(sys.argv[1]), http_port=0, engine=engine)))


if __name__ == "__main__":
    main()
