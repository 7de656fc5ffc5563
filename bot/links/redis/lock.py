"""The lock of a `connectionId`: one bot holds it in Redis, renews it, and alone can release it."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis

from common.cancellation import checkpoint
from common.contracts import keys
from common.contracts.status import SubCode
from common.errors import EarshotError

LOCK_TTL_MS = 9_000
RENEW_INTERVAL_S = 3.0
WATCH_INTERVAL_S = 0.25
"""How often a bot that finds the lock taken looks whether its holder is still alive."""

_TAKE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return redis.call('PTTL', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return -9
"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
_OURS = -9


class Lock:
    """`earshot:lock:<connectionId>`, worth `LOCK_TTL_MS` unless renewed.

    Args:
        connection_id: Whose lock.
        token: Who we are: different for every process.
    """

    def __init__(self, connection_id: str, token: str) -> None:
        self.key = keys.lock(connection_id)
        self._token = token

    async def take(self, client: Redis) -> int | None:
        """Takes or renews it; returns None when it is ours, else the milliseconds the other's claim still lasts."""
        answer = int(await client.eval(_TAKE, 1, self.key, self._token, LOCK_TTL_MS))
        return None if answer == _OURS else answer

    async def acquire(self, client: Redis) -> None:
        """Waits out a dead holder's claim (a crashed bot that was started again) and gives way to a live one.

        Raises:
            EarshotError: DUPLICATE_BOT when the holder renews it, within `RENEW_INTERVAL_S` and a little.
        """
        left = await self.take(client)
        while left is not None:
            checkpoint()
            await asyncio.sleep(WATCH_INTERVAL_S)
            before, left = left, await self.take(client)
            if left is not None and left > before:
                raise self.taken()

    def taken(self) -> EarshotError:
        """The error of the bot that lost."""
        return EarshotError(
            SubCode.DUPLICATE_BOT,
            f"another bot with this connectionId is running (Redis key {self.key}); give each bot its own connectionId",
        )

    async def release(self, client: Redis) -> bool:
        """Lets go of it; False when it was not ours."""
        released = int(await client.eval(_RELEASE, 1, self.key, self._token))
        return released == 1
