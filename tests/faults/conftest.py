"""What the faults share: chance, a folder for logs, a LiveKit server, and quiet about what is provoked."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from rehearsal.livekit.server import LiveKitServer
from tests.support.seeds import seeds
from tests.support.servers.livekit import required


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
    """One for all rooms."""
    with required() as server:
        yield server
