"""What the platforms' tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rehearsal.livekit.server import LiveKitServer
from tests.support.servers.livekit import required


@pytest.fixture(scope="session")
def livekit() -> Iterator[LiveKitServer]:
    """One for all rooms."""
    with required() as server:
        yield server
