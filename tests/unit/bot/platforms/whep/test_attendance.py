"""Who is there, and how long an endpoint is waited for. The endpoint is a fake; time is virtual."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from bot.core import effects as fx
from bot.core import events as ev
from bot.core.leave import LeaveSettings
from bot.core.meeting import MeetingCore
from bot.core.orders import Reconnect
from bot.platforms.base import Invitation
from bot.platforms.orders import Orders
from bot.platforms.whep import attendance as attending
from bot.platforms.whep.endpoint import Endpoint, Unavailable
from bot.platforms.whep.settings import WhepSettings
from common.contracts.status import SubCode
from common.errors import EarshotError
from tests.support.fakes.listener import RecordingListener


@pytest.mark.parametrize("participant", [None, "Ana"])
async def test_a_stream_keeps_the_bot_there_whoever_is_in_it(participant: str | None) -> None:
    """A mix of nobody in particular as well as a person: while it comes we are not alone, once it is gone we are."""
    settings = WhepSettings(participant=participant)
    invitation = Invitation("whep+http://media.example.com/whep", "bot-1", "Earshot", settings=settings)
    core, listener = MeetingCore(LeaveSettings()), RecordingListener()

    def leaves(at: float) -> bool:
        """Whether the core leaves by then, after what was reported since the last call."""
        reported, listener.events = [event for _, event in listener.events], []
        for event in reported:
            core.receive(event, at)
        core.tick(at)
        return fx.LeaveMeeting() in core.effects()

    core.begin(0.0)
    async with Endpoint("http://media.example.com/whep", settings) as endpoint:
        attendance = attending._Attendance(endpoint, settings, invitation, listener, Orders())
        attendance._here()
        assert not leaves(at=0.0)
        assert not leaves(at=3600.0)
        attendance._lost()
        attendance._is_over(Unavailable(404, None))
        assert not leaves(at=3600.0)
        attendance._here()
        assert not leaves(at=3700.0)
        assert not leaves(at=7200.0)
        attendance._lost()
        attendance._is_over(Unavailable(404, None))
        assert not leaves(at=7200.0)
        assert leaves(at=7320.0)
    assert core._departing is SubCode.LEFT_ALONE


@pytest.mark.parametrize(
    "failure",
    [OSError("nobody answers"), EarshotError(SubCode.ROOM_UNREACHABLE, "no WHEP endpoint: 200 without an SDP")],
    ids=["nobody answers", "a proxy answers"],
)
async def test_an_endpoint_that_restarts_when_we_ask_again_has_its_time(
    failure: Exception, virtual_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that was heard for long is had again because of an order, and nobody answers for a while: the time of
    patience begins then, the break is reported, and so is its end."""
    loop = asyncio.get_running_loop()
    away_until = loop.time() + 320.0

    async def agree(self: Any, stack: AsyncExitStack, stream: Any) -> Any:
        if 300.0 < loop.time() - began < away_until - began:
            raise failure
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


@pytest.mark.parametrize("was_heard", [False, True], ids=["nobody has published yet", "the publisher has gone"])
async def test_one_answer_that_is_lost_while_a_publisher_is_waited_for(
    was_heard: bool, virtual_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endpoint has answered for minutes that it has no stream. One connection that is refused is no endpoint that
    does not answer: it has its time, and the publisher who comes is heard."""
    loop = asyncio.get_running_loop()
    began, refused = loop.time(), 0

    async def agree(self: Any, stack: AsyncExitStack, stream: Any) -> Any:
        nonlocal refused
        at = loop.time() - began
        if at > 150.0 and not refused:
            refused += 1
            raise OSError("connection refused")
        if at > 200.0 or (was_heard and at < 1.0):
            stream.up.set()
            if at < 1.0:
                stream.down.set()
            return SimpleNamespace(packets=1)
        raise Unavailable(404, None)

    monkeypatch.setattr(attending._Attendance, "_agree", agree)
    listener, orders = RecordingListener(), Orders()
    settings = WhepSettings(not_started_timeout=600_000, publisher_return_timeout=600_000)
    invitation = Invitation("whep+http://198.51.100.1/whep", "bot-1", "Earshot", settings=settings)
    staying = asyncio.create_task(attending.attend(invitation, listener, orders))
    await asyncio.sleep(210)
    assert not staying.done(), staying.exception()
    assert refused
    assert listener.count(ev.TrackOpened) == 1 + was_heard
    orders.leaving.set()
    assert await staying is SubCode.LEFT_BY_COMMAND
