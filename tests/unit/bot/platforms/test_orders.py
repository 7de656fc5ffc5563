"""Orders: leaving first, everything else in order and bounded."""

from __future__ import annotations

import asyncio

import pytest

from bot.core.orders import HearTracks, SendChat, Speak
from bot.platforms.orders import MAX_ORDERS, Orders, until_told
from common.contracts.status import SubCode
from common.errors import EarshotError


async def test_orders_come_in_order(virtual_time: None) -> None:
    """What waits comes at once, what comes later is waited for."""
    orders = Orders()
    assert orders.give(Speak("hello"))
    assert orders.give(HearTracks(frozenset({"t"})))
    assert [await orders.next(), await orders.next()] == [Speak("hello"), HearTracks(frozenset({"t"}))]
    waiting = asyncio.create_task(orders.next())
    await asyncio.sleep(1)
    assert not waiting.done()
    orders.give(SendChat("hi"))
    assert await waiting == SendChat("hi")


async def test_a_full_queue_refuses_the_newest() -> None:
    """Whoever gives an order learns that it will not be carried out."""
    orders = Orders()
    taken = [orders.give(SendChat(str(number))) for number in range(MAX_ORDERS + 1)]
    assert taken == [True] * MAX_ORDERS + [False]
    assert await orders.next() == SendChat("0")


async def test_leaving_goes_before_everything() -> None:
    """Orders that wait are dropped, and none is taken any more."""
    orders = Orders()
    orders.give(Speak("a long speech"))
    orders.leave()
    assert orders.leaving.is_set()
    assert not orders.give(Speak("more"))


async def test_a_cancelled_wait_loses_no_order(virtual_time: None) -> None:
    """The next one who asks gets it."""
    orders = Orders()
    waiting = asyncio.create_task(orders.next())
    await asyncio.sleep(0)
    orders.give(Speak("hello"))
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert await orders.next() == Speak("hello")


def test_what_is_to_be_said_is_in_no_representation() -> None:
    """Logs show orders without their words."""
    assert "hello" not in repr(Speak("hello")) + repr(SendChat("hello"))


class Stay:
    """An attendance: a fake that is over when told, and says what was called."""

    def __init__(self) -> None:
        self.over = False
        self.end: asyncio.Future[SubCode] = asyncio.get_running_loop().create_future()
        self.said: list[str] = []

    async def stay(self) -> SubCode:
        try:
            return await self.end
        finally:
            self.said.append(f"stayed, over: {self.over}")

    async def farewell(self) -> None:
        self.said.append(f"farewell, over: {self.over}")
        if not self.end.done():
            self.end.set_exception(EarshotError(SubCode.CONNECTION_LOST, "it hung up on us"))
        await asyncio.sleep(1)


async def test_stays_until_it_is_over(virtual_time: None) -> None:
    """Its end is ours, and so is its failure; no farewell is said to who has gone."""
    stay, orders = Stay(), Orders()
    stay.end.set_result(SubCode.MEETING_ENDED)
    assert await until_told(stay, orders) is SubCode.MEETING_ENDED
    assert (stay.over, stay.said) == (True, ["stayed, over: False"])
    stay = Stay()
    stay.end.set_exception(EarshotError(SubCode.CONNECTION_LOST, "gone"))
    with pytest.raises(EarshotError, match="gone"):
        await until_told(stay, orders)


async def test_leaves_when_told(virtual_time: None) -> None:
    """Nothing is reported from then on, the farewell is said, and what fails meanwhile is no failure of ours."""
    stay, orders = Stay(), Orders()
    orders.leave()
    assert await until_told(stay, orders) is SubCode.LEFT_BY_COMMAND
    assert stay.said == ["farewell, over: True", "stayed, over: True"]


async def test_what_is_cut_off_is_silent(virtual_time: None) -> None:
    """Cancelled from outside, the stay has ended, too, when it returns."""
    stay = Stay()
    cut = asyncio.create_task(until_told(stay, Orders()))
    await asyncio.sleep(1)
    cut.cancel()
    await asyncio.gather(cut, return_exceptions=True)
    assert cut.cancelled()
    assert stay.said == ["stayed, over: True"]
