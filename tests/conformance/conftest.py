"""Both transcribers as child processes, on the demo model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.conformance import child, stock_server


@pytest.fixture(scope="module")
def our_port() -> Iterator[int]:
    """The port of our transcriber."""
    with child("-m", "transcriber", "--model", "demo", "--port", "0", "--http-port", "0") as process:
        assert process.stdout is not None
        yield int(process.stdout.readline().rpartition(":")[2])


@pytest.fixture(scope="module")
def stock_port() -> Iterator[int]:
    """The port of the PyPI server."""
    with stock_server() as port:
        yield port
