"""A lease while Redis does not answer is given up before it ends. Redis is a fake that is silent; time is virtual."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import TimeoutError as RedisTimeoutError

from bot.links.redis.leases import LEASE_S, MARGIN_S, Lease


@pytest.mark.parametrize("silence", [0.0, 1.0, 2.0, 2.9], ids="{} s".format)
@pytest.mark.parametrize("pause", [0.5, 1.0, 3.0], ids="every {} s".format)
async def test_redis_that_does_not_answer(
    silence: float, pause: float, virtual_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long a question that is not answered takes (a connection and its answer have a second each): whoever asks
    every few seconds knows before its end that the lease is theirs no more, and not before it is in danger."""
    loop = asyncio.get_running_loop()
    frozen = False

    async def call(self: Lease, what: str) -> list[int | str]:
        if frozen:
            await asyncio.sleep(silence)
            raise RedisTimeoutError
        return [1]

    monkeypatch.setattr(Lease, "_call", call)
    lease = Lease("redis://198.51.100.1", "things", "room", 1)
    assert await lease.ask()
    taken, frozen = loop.time(), True
    while await lease.ask():  # noqa: ASYNC110
        await asyncio.sleep(pause)
    assert LEASE_S - 2 * MARGIN_S <= loop.time() - taken <= LEASE_S
