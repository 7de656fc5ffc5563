"""Orders: leaving first, everything else in order and bounded."""

from __future__ import annotations

import asyncio

import pytest

from bot.core.orders import HearTracks, SendChat, Speak
from bot.platforms.orders import MAX_ORDERS, Orders, stay_until_told
from common.contracts.status import SubCode


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
    """A stay of so many seconds, and what came of it."""

    def __init__(self, seconds: float = 60.0, failure: BaseException | None = None) -> None:
        self._seconds, self._failure = seconds, failure
        self.over = False
        self.seen: list[tuple[str, bool]] = []  # what happened, and whether it was over then

    async def stay(self) -> SubCode:
        """See `bot.platforms.orders.Staying`."""
        try:
            await asyncio.sleep(self._seconds)
            if self._failure is not None:
                raise self._failure
            return SubCode.MEETING_ENDED
        finally:
            self.seen.append(("closed", self.over))

    async def farewell(self) -> None:
        """Takes a second."""
        self.seen.append(("farewell", self.over))
        await asyncio.sleep(1)
        self.seen.append(("gone", self.over))


async def test_a_meeting_that_is_over_says_why(virtual_time: None) -> None:
    """Nobody takes leave of it; what it raises is raised, a cancellation from within, too: that is no order."""
    stay = Stay()
    assert await stay_until_told(stay, Orders(), stay.farewell) is SubCode.MEETING_ENDED
    assert (stay.seen, stay.over) == ([("closed", False)], True)
    for failure in (OSError("broken"), asyncio.CancelledError()):
        with pytest.raises(type(failure)):
            await stay_until_told(Stay(failure=failure), Orders())


@pytest.mark.parametrize("seconds", [60.0, 2.5])
async def test_the_order_to_leave(virtual_time: None, seconds: float) -> None:
    """Nothing is reported from then on; the meeting goes on while leave is taken of it, and its end is no reason."""
    stay, orders = Stay(seconds), Orders()
    asyncio.get_running_loop().call_later(2, orders.leave)
    assert await stay_until_told(stay, orders, stay.farewell) is SubCode.LEFT_BY_COMMAND
    assert all(is_over for _, is_over in stay.seen)
    assert {what for what, _ in stay.seen} == {"farewell", "gone", "closed"}


async def test_who_is_cancelled_stays_nowhere(virtual_time: None) -> None:
    """Nothing is reported from then on, and what was opened is gone."""
    stay = Stay()
    staying = asyncio.create_task(stay_until_told(stay, Orders(), stay.farewell))
    await asyncio.sleep(1)
    staying.cancel()
    await asyncio.gather(staying, return_exceptions=True)
    assert staying.cancelled()
    assert stay.seen == [("closed", True)]
