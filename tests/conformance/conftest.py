"""Both transcribers as child processes, on the demo model."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.conformance import CHILDREN, ROOT, Playing, speech, stock_environment, write
from transcriber.engine.models import resolve


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


@pytest.fixture(scope="session")
def our_port() -> Iterator[int]:
    """The port of our transcriber."""
    with child("-m", "transcriber", "--model", "demo", "--port", "0", "--http-port", "0") as process:
        assert process.stdout is not None
        yield int(process.stdout.readline().rpartition(":")[2])


@pytest.fixture(scope="session")
def stock_port() -> Iterator[int]:
    """The port of the PyPI server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with child(str(CHILDREN / "stock_server.py"), str(resolve("demo")), str(port)) as process:
        for _ in range(200):
            assert process.poll() is None, "the stock server has ended"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield port


@pytest.fixture(scope="session", autouse=True)
def playing(our_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playing]:
    """The stock file client, playing to our transcriber from the first test here on: it waits 15 s at its end."""
    folder, clips = tmp_path_factory.mktemp("file-client"), ("ewan7", "ewan7", "ben4")
    audio = write(folder / "meeting.wav", speech(clips, 0.8))
    command = [str(CHILDREN / "stock_client.py"), "file", str(our_port), str(audio), "en", "result.json"]
    with child(*command, cwd=folder) as process:
        yield Playing(process, folder, clips)
