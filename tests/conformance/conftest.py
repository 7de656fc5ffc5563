"""Both transcribers as child processes, on the demo model."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from tests.support.conformance import CHILDREN, child
from transcriber.engine.models import resolve


@pytest.fixture(scope="module")
def our_port() -> Iterator[int]:
    """The port of our transcriber."""
    with child("-m", "transcriber", "--model", "demo", "--port", "0", "--http-port", "0") as process:
        assert process.stdout is not None
        yield int(process.stdout.readline().rpartition(":")[2])


@pytest.fixture(scope="module")
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
