"""A line to an SFU: requests find their answers, and whatever breaks it is said to everybody who waits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedOK

from bot.platforms.sfu.line import Line, LineBroken


class Scripted:
    """A connection whose other side is the test: a fake."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self.sent: list[Any] = []

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        while (text := await self.incoming.get()) is not None:
            yield text

    async def send(self, text: str) -> None:
        """Takes it, or is closed."""
        if self.sent and self.sent[-1] == "closed":
            raise ConnectionClosedOK(None, None)
        self.sent.append(json.loads(text))


def line(told: list[Any]) -> tuple[Line, Scripted]:
    """A line on a scripted connection."""
    websocket = Scripted()
    return Line(websocket, lambda message: message.get("id"), told.append), websocket  # type: ignore[arg-type]


async def test_answers_find_their_requests_in_any_order(virtual_time: None) -> None:
    """What nobody has asked for is told; an answer that comes twice counts once; one that never comes is a timeout."""
    told: list[Any] = []
    one, websocket = line(told)
    asked = [asyncio.create_task(one.ask(number, {"id": number})) for number in (1, 2)]
    await asyncio.sleep(0)
    reading = asyncio.create_task(one.run())
    for text in (
        '{"id": 2, "is": "b"}',
        b'{"news": 1}',
        '{"id": 1, "is": "a"}',
        '{"id": 1, "is": "said twice"}',
        '{"id": []}',
    ):
        websocket.incoming.put_nowait(text)
    assert [answer["is"] for answer in await asyncio.gather(*asked)] == ["a", "b"]
    websocket.incoming.put_nowait(None)
    with pytest.raises(LineBroken, match="closed"):
        await reading
    assert told == [{"news": 1}, {"id": []}]
    with pytest.raises(TimeoutError):
        await one.ask(3, {"id": 3})
    websocket.sent.append("closed")
    with pytest.raises(LineBroken):
        await one.say({})


async def test_an_answer_is_heeded_before_what_came_right_behind_it() -> None:
    """Both in one packet: whoever asked has not run yet when the second is told."""
    order: list[Any] = []
    one, websocket = line(order)
    asked = asyncio.create_task(one.ask(1, {"id": 1}, order.append))
    await asyncio.sleep(0)
    websocket.incoming.put_nowait('{"id": 1}')
    websocket.incoming.put_nowait('{"news": 1}')
    reading = asyncio.create_task(one.run())
    await asked
    assert order == [{"id": 1}, {"news": 1}]
    reading.cancel()


@pytest.mark.parametrize("text", ["", "not JSON", "[1]", "7", "[" * 100_000, b"\xff\xfe"])
async def test_what_is_no_object_breaks_it(text: str | bytes) -> None:
    """Whoever waits for an answer hears of it."""
    one, websocket = line([])
    asking = asyncio.create_task(one.ask(1, {"id": 1}))
    await asyncio.sleep(0)
    websocket.incoming.put_nowait(text)
    with pytest.raises(LineBroken, match="no JSON object"):
        await one.run()
    with pytest.raises(LineBroken, match="no JSON object"):
        await asking
