"""How long an endpoint is waited for, from when on. The endpoint is a fake; time is virtual."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from bot.core import events as ev
from bot.core.orders import Reconnect
from bot.platforms.base import Invitation
from bot.platforms.orders import Orders
from bot.platforms.whep import attendance as attending
from bot.platforms.whep.settings import WhepSettings
from common.contracts.status import SubCode
from tests.support.fakes.listener import RecordingListener


async def test_an_endpoint_that_restarts_when_we_ask_again_has_its_time(
    virtual_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that was heard for long is had again because of an order, and nobody answers for a while: the time of
    patience begins then, the break is reported, and so is its end."""
    loop = asyncio.get_running_loop()
    away_until = loop.time() + 320.0

    async def agree(self: Any, stack: AsyncExitStack, stream: Any) -> Any:
        if 300.0 < loop.time() - began < away_until - began:
            raise OSError("nobody answers")
        stream.up.set()
        return SimpleNamespace(packets=1)

    monkeypatch.setattr(attending._Attendance, "_agree", agree)
    listener, orders = RecordingListener(), Orders()
    invitation = Invitation("whep+http://198.51.100.1/whep", "bot-1", "Earshot", settings=WhepSettings())
    began = loop.time()
    staying = asyncio.create_task(attending.attend(invitation, listener, orders))
    await asyncio.sleep(301)
    orders.give(Reconnect())
    await asyncio.sleep(40)
    assert not staying.done()
    assert listener.count(ev.TransportLost) == listener.count(ev.TransportBack) == 1
    orders.leaving.set()
    assert await staying is SubCode.LEFT_BY_COMMAND
