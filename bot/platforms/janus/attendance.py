"""Attendance of a Janus video room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.platforms.janus.room import JanusRoom
from bot.platforms.sfu.attendance import Server
from bot.platforms.sfu.attendance import attend as attend_sfu

if TYPE_CHECKING:
    from bot.platforms.base import Invitation, Listener
    from bot.platforms.orders import Orders
    from common.contracts.status import SubCode


async def attend(invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
    """See `bot.platforms.base.Platform`."""
    url = (invitation.meeting_url or "").removeprefix("janus+")
    server = Server("Janus", url, "janus-protocol", JanusRoom)
    return await attend_sfu(server, invitation, listener, orders)
