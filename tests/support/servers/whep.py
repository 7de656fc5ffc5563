"""A real WHEP server: Meetecho's, on Janus. Of Debian's Janus it can be had only with offers of its own (406)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.servers.janus import ADDRESS, JanusServer, janus_server

ROOT = Path(__file__).parents[3]
SOURCE, BUILT = ROOT / "tests" / "support" / "whep_server" / "server.js", ROOT / "build" / "whep-server"
MISSING = "the WHEP server is not installed: make build/whep-server (needs npm)"
START_TIMEOUT_S = 20.0


def is_installed() -> bool:
    """Whether there is a WHEP server to run."""
    return (BUILT / "node_modules").exists() and shutil.which("node") is not None


@dataclass(frozen=True, slots=True)
class WhepServer:
    """A running WHEP server and the Janus behind it."""

    url: str
    janus: JanusServer

    async def make(self, **endpoint: Any) -> str:
        """Makes an endpoint; its path."""
        async with httpx.AsyncClient(trust_env=False) as client:
            (await client.post(f"{self.url}/endpoints", json=endpoint)).raise_for_status()
        return f"/whep/endpoint/{endpoint['id']}"


@contextmanager
def whep_server() -> Iterator[WhepServer]:
    """Runs both until the block ends."""
    with janus_server() as janus, tempfile.TemporaryDirectory(prefix="earshot-whep-") as name:
        folder, log = Path(name), Path(name) / "server.log"
        shutil.copy(SOURCE, folder)
        shutil.copy(BUILT / "package.json", folder)
        (folder / "node_modules").symlink_to((BUILT / "node_modules").resolve())
        environment = {**os.environ, "HOST": ADDRESS, "JANUS_URL": janus.url}
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["node", "server.js"], cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            yield WhepServer(_address(process, log), janus)
        finally:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"WHEP at (\S+)", log.read_text()):
            return found[1]
        time.sleep(0.02)
    raise AssertionError(f"the WHEP server did not come up: {log.read_text()[-1000:]}")
