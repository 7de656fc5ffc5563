"""The task of a platform: its coroutine, from its preparation to whatever ends it.

It ends by itself, because it is ordered to leave, because it is cancelled when it does not, or without an end: a
platform that cannot even be cancelled is left behind. Whatever happens is told once, as `PlatformEnded`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import structlog

from bot.config import BotConfig
from bot.core.events import PlatformEnded
from bot.core.orders import Order
from bot.links.redis.leases import Lease
from bot.platforms import prepare
from bot.platforms.base import Listener, Platform
from bot.platforms.destination import checked
from bot.platforms.orders import Orders
from common.contracts.status import SubCode
from common.errors import EarshotError

LEAVE_S = 2.0
"""For leaving, from the order on; then the platform is cancelled, and has ..."""
CANCEL_S = 0.3
"""... to be gone."""

log = structlog.get_logger(__name__)


class PlatformTask:
    """One platform in one meeting.

    Args:
        config: Names the meeting.
        platform: How to join it.
        listener: Hears of it.
        on_end: Told why it ended.
    """

    def __init__(
        self, config: BotConfig, platform: Platform, listener: Listener, on_end: Callable[[PlatformEnded], None]
    ) -> None:
        self._config = config
        self._platform = platform
        self._listener = listener
        self._on_end = on_end
        self._orders = Orders()
        self._is_abandoned = False
        self.task: asyncio.Task[SubCode] | None = None
        """None: nothing is joined yet."""

    def begin(self) -> None:
        """Starts to join."""
        self.task = asyncio.get_running_loop().create_task(self._attend(), name="platform")
        self.task.add_done_callback(self._done)

    def give(self, order: Order) -> bool:
        """Hands the platform an order; False: too many wait."""
        given = self._orders.give(order)
        log.info("bot.order", order=order, given=given)
        return given

    def leave(self, within: float) -> None:
        """Orders to leave; who does not within `LEAVE_S`, or so many seconds, is cancelled."""
        self._orders.leave()
        if self.task is None:
            self._on_end(PlatformEnded(SubCode.LEFT_BY_COMMAND))
        else:
            asyncio.get_running_loop().call_later(min(LEAVE_S, within), self._cut_off)

    @property
    def goes_on(self) -> bool:
        """It has begun and has no end yet."""
        return self.task is not None and not self.task.done() and not self._is_abandoned

    async def over(self) -> None:
        """Waits for its end after the order to leave, which comes in time or not at all."""
        if self.task is not None:
            await asyncio.wait([self.task], timeout=LEAVE_S + CANCEL_S)

    async def _attend(self) -> SubCode:
        await prepare(self._config.platform, self._platform)
        invitation = await checked(self._platform, self._config.invitation())
        invitation = replace(invitation, budgets=partial(Lease, self._config.redis_url.get_secret_value()))
        return await self._platform.attend(invitation, self._listener, self._orders)

    def _done(self, task: asyncio.Task[SubCode]) -> None:
        """What a platform raises is a failure of its own; only an order makes it leave."""
        evidence: tuple[str, ...] = ()
        detail, code = "a bug in the platform adapter, see the log", SubCode.INTERNAL_ERROR
        if task.cancelled():
            if self._orders.leaving.is_set():
                code, detail = SubCode.LEFT_BY_COMMAND, f"the platform did not leave within {LEAVE_S:g} s"
            else:
                log.error("platform.bug", platform=self._config.platform, error="cancelled from within")
        elif (error := task.exception()) is None:
            if isinstance(task.result(), SubCode):
                code, detail = task.result(), ""
            else:
                log.error("platform.bug", platform=self._config.platform, error="attend returned no sub-code")
        elif isinstance(error, EarshotError):
            code, detail, evidence = error.code, str(error), error.evidence
        else:
            log.error("platform.bug", platform=self._config.platform, exc_info=error)
        self._on_end(PlatformEnded(code, detail, evidence))

    def _cut_off(self) -> None:
        if self.task is not None and not self.task.done():
            log.warning("platform.cut_off", seconds=LEAVE_S)
            self.task.cancel()
            asyncio.get_running_loop().call_later(CANCEL_S, self._abandon)

    def _abandon(self) -> None:
        """The platform refuses to be cancelled: the meeting ends without it, and the process the hard way."""
        self._is_abandoned = self.task is not None and not self.task.done()
        if self._is_abandoned:
            log.error("platform.stuck", platform=self._config.platform)
            self._on_end(PlatformEnded(SubCode.LEFT_BY_COMMAND, "the platform could not be stopped"))
