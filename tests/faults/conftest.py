"""What the faults share: chance, a folder for logs, a LiveKit server, and quiet about what is provoked."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
import structlog

from rehearsal.livekit.server import MISSING, LiveKitServer, find_livekit_server, livekit_server
from tests.support.seeds import seeds
from tests.support.tools import require


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `seed` runs once for each round."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", seeds())


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Errors only."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def livekit() -> Iterator[LiveKitServer]:
    """A real livekit-server on the tests' own network, with keys of its own."""
    require(os.environ.get("EARSHOT_HERMETIC"), "LiveKit tests need a network of their own: tools/hermetic pytest …")
    require(find_livekit_server(), MISSING)
    with livekit_server() as server:
        yield server
