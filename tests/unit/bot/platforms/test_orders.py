"""Orders: leaving first, everything else in order and bounded."""

from __future__ import annotations

import asyncio

from bot.core.orders import HearTracks, SendChat, Speak
from bot.platforms.orders import MAX_ORDERS, Orders


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
