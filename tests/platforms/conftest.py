"""What the platforms' tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from rehearsal.livekit.server import MISSING, LiveKitServer, find_livekit_server, livekit_server
from tests.support.tools import require


@pytest.fixture(scope="session")
def livekit() -> Iterator[LiveKitServer]:
    """A real livekit-server on the tests' own network, with keys of its own."""
    require(os.environ.get("EARSHOT_HERMETIC"), "LiveKit tests need a network of their own: tools/hermetic pytest …")
    require(find_livekit_server(), MISSING)
    with livekit_server() as server:
        yield server
