"""Who is there, as the attendance of a WHEP endpoint reports it."""

from __future__ import annotations

import pytest

from bot.core import effects as fx
from bot.core.leave import LeaveSettings
from bot.core.meeting import MeetingCore
from bot.platforms.base import Invitation
from bot.platforms.orders import Orders
from bot.platforms.whep.attendance import _Attendance
from bot.platforms.whep.endpoint import Endpoint, Unavailable
from bot.platforms.whep.settings import WhepSettings
from common.contracts.status import SubCode
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
        attendance = _Attendance(endpoint, settings, invitation, listener, Orders())
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
