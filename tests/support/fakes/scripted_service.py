"""A whole transcriber that takes tones for words.

python -m tests.support.fakes.scripted_service PORT [max_clients=N] [api_key=KEY]
"""

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
async def process(port: int = 0, *options: str) -> AsyncIterator[tuple[Process, str]]:
    """It and its URL, once it is ready; gone after the block."""
    command = [sys.executable, "-m", "tests.support.fakes.scripted_service", str(port), *options]
    started = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL)
    async with ended(started):
        assert started.stdout
        async with asyncio.timeout(60):
            url = (await started.stdout.readline()).decode().strip()
        yield started, url


def main() -> None:
    """Serves until a signal."""
    configure_logging("error")
    service.speech_model = ScriptedDetector  # type: ignore[assignment]
    engine = "tests.support.engines:scripted"
    given = dict(option.split("=", 1) for option in sys.argv[2:])
    clients, key = int(given.get("max_clients", "64")), given.get("api_key")
    settings = Settings("m", port=int(sys.argv[1]), http_port=0, engine=engine, max_clients=clients, api_key=key)
    asyncio.run(service.run(settings))


if __name__ == "__main__":
    main()
