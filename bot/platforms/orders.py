"""Orders: what the bot tells a platform to do in the meeting. `leaving` goes before everything and is never lost.

`until_told` is how a platform stays in a meeting under such orders.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from bot.core.orders import Order
from common.contracts.status import SubCode

MAX_ORDERS = 32
"""Orders that wait for a platform. Policy when full: the new one is refused, so that those before keep their order."""


class Orders:
    """One platform's orders: `leaving`, and a bounded queue of everything else.

    A platform that can do none of them ignores the queue: it is bounded, and whoever gives an order learns that it
    was refused.
    """

    def __init__(self) -> None:
        self.leaving = asyncio.Event()
        """Leave the meeting, now and in order."""
        self._waiting: deque[Order] = deque()
        self._given = asyncio.Event()

    def leave(self) -> None:
        """Orders to leave. Orders that wait are not carried out any more."""
        self._waiting.clear()
        self.leaving.set()

    def give(self, order: Order) -> bool:
        """Queues an order; False: refused, because `MAX_ORDERS` wait or we are leaving."""
        if self.leaving.is_set() or len(self._waiting) >= MAX_ORDERS:
            return False
        self._waiting.append(order)
        self._given.set()
        return True

    async def next(self) -> Order:
        """The next order, when there is one. Cancelled, it loses none."""
        while not self._waiting:
            self._given.clear()
            await self._given.wait()
        return self._waiting.popleft()


class Attendance(Protocol):
    """One bot in one meeting, as a platform attends it: `until_told` is given one."""

    over: bool
    """Nothing is reported any more."""

    async def stay(self) -> SubCode:
        """Enters, and stays until the meeting is over for us; cancelled, it ends what it began."""

    async def farewell(self) -> None:
        """Says that we leave, as far as that is possible; `stay` goes on meanwhile."""


async def until_told(attendance: Attendance, orders: Orders) -> SubCode:
    """Stays until it is over, or until told to leave. Why it ended.

    Once we are told, we have left by command, whatever the meeting says while we do. Raises what `stay` raises.
    """
    staying, told = asyncio.create_task(attendance.stay()), asyncio.create_task(orders.leaving.wait())
    try:
        await asyncio.wait({staying, told}, return_when=asyncio.FIRST_COMPLETED)
        if staying.done():
            return staying.result()
        attendance.over = True
        await attendance.farewell()
        return SubCode.LEFT_BY_COMMAND
    finally:
        attendance.over = True
        staying.cancel()
        told.cancel()
        await asyncio.gather(staying, told, return_exceptions=True)
