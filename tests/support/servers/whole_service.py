"""A whole transcriber in the test's own loop: both ports, and whatever engine its settings name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from transcriber.config import RemoteSettings, Settings
from transcriber.service import Service, listen


class Running:
    """A transcriber in this loop."""

    def __init__(
        self, url: str, web: httpx.AsyncClient, serving: asyncio.Task[None], stop: asyncio.Event
    ) -> None:  # fmt: skip
        self.url = url
        self.web = web
        self.serving = serving
        self.stop = stop

    async def says(self, path: str = "/health") -> tuple[int, dict[str, Any]]:
        """Status and body."""
        answer = await self.web.get(path)
        return answer.status_code, answer.json()

    async def until(self, wanted: Callable[[int, dict[str, Any]], bool], path: str = "/health") -> dict[str, Any]:
        """Asks until the answer is as wanted."""
        for _ in range(500):
            said = await self.says(path)
            if wanted(*said):
                return said[1]
            await asyncio.sleep(0.02)
        raise AssertionError(f"{path} still says {said}")

    async def metric(self, name: str) -> float:
        """One series, its labels included in the name."""
        lines = (await self.web.get("/metrics")).text.splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name)


@asynccontextmanager
async def running(
    factory: str = "scripted", model: str = "m", *, remote: RemoteSettings | None = None, ready: bool = True
) -> AsyncIterator[Running]:
    """A transcriber until the block ends; `remote` decodes in place of an engine of its own."""
    listener, http_listener = listen("127.0.0.1", 0, "--port"), listen("127.0.0.1", 0, "--http-port")
    settings = Settings(
        model=model, engine=factory if ":" in factory else f"tests.support.engines:{factory}", remote=remote,
        parallel=4 if remote else 1, max_clients=7, log_level="critical",
    )  # fmt: skip
    stop = asyncio.Event()
    serving = asyncio.create_task(Service(settings, listener, http_listener).run(stop))
    base = f"http://127.0.0.1:{http_listener.getsockname()[1]}"
    try:
        async with httpx.AsyncClient(
            base_url=base,
            trust_env=False,
            # every request on a connection of its own: one that is kept may be closed just when it is used again
            transport=httpx.AsyncHTTPTransport(retries=5, limits=httpx.Limits(max_keepalive_connections=0)),
        ) as web:
            at = Running(f"ws://127.0.0.1:{listener.getsockname()[1]}", web, serving, stop)
            if ready:
                await at.until(lambda status, _: status == 200, "/ready")
            yield at
    finally:
        stop.set()
        await serving
        listener.close()
        http_listener.close()
