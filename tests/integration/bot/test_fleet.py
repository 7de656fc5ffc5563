"""Hundreds of people in a hundred rooms: the real router of each bot, and one real Redis for what they share."""

from __future__ import annotations

import pytest

from bot.core.router import Stage
from tests.support.fleet import Chances, Fleet
from tests.support.servers.redis_server import server

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(120)]
LIMIT = 65


async def test_five_hundred_people_in_a_hundred_rooms() -> None:
    """Never more egresses than there are, every room heard; rooms with company as an egress as far as they go round."""
    async with server() as redis:
        fleet = Fleet(redis.url, LIMIT)
        tally = await fleet.live(minutes=4)
        await fleet.close()
    assert tally.most_leases <= LIMIT
    assert tally.most_egresses <= LIMIT
    assert tally.killed > 0
    assert tally.dropped > 0
    assert 50 <= tally.composite[-1] <= 80
    assert 20 <= tally.participant[-1] <= 50


async def test_without_faults_all_egresses_are_used() -> None:
    """Where nothing goes wrong, each room with company has one, or waits because none is free."""
    async with server() as redis:
        fleet = Fleet(redis.url, LIMIT, chances=Chances(0, 0, 0, 0, 0, 0))
        tally = await fleet.live(minutes=1.5)
        await fleet.close()
    assert tally.stages == {Stage.JOINED: 25, Stage.WAITING: 10, Stage.COMPOSITE: LIMIT}


async def test_without_redis_nobody_gets_one() -> None:
    """Then every room is heard on its tracks."""
    async with server() as redis:
        url = redis.url
    fleet = Fleet(url, LIMIT, rooms=8, people=40, chances=Chances(0, 0, 0, 0, 0, 0))
    tally = await fleet.live(minutes=0.5)
    await fleet.close()
    assert set(tally.stages) == {Stage.JOINED, Stage.WAITING}
    assert tally.composite == []
