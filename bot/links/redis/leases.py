"""Leases: what all bots share a number of, such as the egresses of a server, in Redis; who dies keeps none for long.

Whoever has waited longest gets the next one, and nobody two for the same. A lease that cannot be renewed is given up
before it ends: without Redis nobody gets a new one, and never are there more than the number.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import structlog
from redis.asyncio import Redis

from common.cancellation import checkpoint
from common.contracts import keys
from common.redis import FAILURES, connect, explain

LEASE_S = 15.0
"""Seconds that a lease holds unless renewed: so long nobody else gets that of a bot that was killed."""
MARGIN_S = 3.0
"""Seconds before its end at which a holder that could not renew it gives up what it stands for."""
PATIENCE_S = 10.0
"""Seconds after which who waits must have asked again, or loses their place."""
GIVE_BACK_TIMEOUT_S = 0.5
_LEASE = Path(__file__).with_name("lease.lua").read_text(encoding="utf-8")

log = structlog.get_logger(__name__)


class Lease:
    """One lease, if it can be had. Implements `bot.platforms.base.Budget`.

    Args:
        url: Of Redis.
        name: Of what is shared.
        who: For whom it is; there is at most one for each, whoever asks.
        total: How many there are for all bots together.
        wall_ms: The time in milliseconds that all bots agree on; None: that of Redis.
    """

    def __init__(self, url: str, name: str, who: str, total: int, wall_ms: Callable[[], float] | None = None) -> None:
        self._url = url
        self._keys = keys.leases(name)
        self._name, self._who, self._total = name, who, total
        self._wall_ms = wall_ms
        self._token = uuid4().hex
        self.used_for = ""
        """Id of what it is used for: whoever gets the next lease is told of it, should we die, or give it back so."""
        self.left_behind: tuple[str, ...] = ()
        """Such ids of those who died, as the grant of ours told."""
        self._client: Redis | None = None
        self._held_until: float | None = None  # monotonic seconds
        self._is_away = False
        self._calling = asyncio.Lock()

    async def ask(self) -> bool:
        """Takes it, or renews it; to be called every few seconds, also while it is waited for.

        Returns:
            Whether it is ours for another `MARGIN_S` at least. False after True: it could not be renewed in time.
        """
        async with self._calling:
            return await self._ask(asyncio.get_running_loop().time())

    async def _ask(self, asked_at: float) -> bool:
        now = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout_at(self._answer_due(asked_at)):
                answer, *left_behind = await self._call("take" if self._held_until is None else "keep")
            checkpoint()
        except FAILURES as error:
            checkpoint()
            if not self._is_away:
                log.warning("lease.redis_away", name=self._name, error=explain(error))
            self._is_away = True
            if self._held_until is not None and now() < self._held_until - MARGIN_S:
                return True
            self._held_until = None
            return False
        self._is_away = False
        if self._held_until is None:
            self.left_behind = tuple(map(str, left_behind))
        is_ours = int(answer) == 1
        self._held_until = asked_at + LEASE_S if is_ours else None
        return is_ours

    def _answer_due(self, asked_at: float) -> float | None:
        """When it is too late for an answer: who waits for it until then gives up in time. None: nothing is held."""
        ends = (self._held_until - MARGIN_S, self._held_until) if self._held_until is not None else ()
        return next((end for end in ends if end > asked_at), None)

    async def give_back(self) -> None:
        """Lets go of it, and of our place among those who wait. To be called in any case; never fails."""
        async with self._calling:
            self._held_until = None
            if self._client is None:
                return
            with contextlib.suppress(TimeoutError, *FAILURES):
                async with asyncio.timeout(GIVE_BACK_TIMEOUT_S):
                    await self._call("give")
            self.used_for = ""
            with contextlib.suppress(*FAILURES):
                await self._client.aclose()
            self._client = None  # who is cancelled before is called again

    async def _call(self, what: str) -> list[int | str]:
        if self._client is None:
            self._client = connect(self._url)
        wall = "" if self._wall_ms is None else round(self._wall_ms())
        times = round(LEASE_S * 1000), round(PATIENCE_S * 1000), wall
        ours = what, self._who, self._token, self.used_for
        answer: list[int | str] = await self._client.eval(
            _LEASE, len(self._keys), *self._keys, *ours, self._total, *times
        )
        return answer
