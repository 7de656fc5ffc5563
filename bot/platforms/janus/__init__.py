"""Janus: rooms of its video room plugin. Guide: docs/janus.md; example: configs/janus.example.jsonc."""

from __future__ import annotations

from bot.platforms.base import Invitation, Listener
from bot.platforms.janus.settings import JanusSettings
from bot.platforms.orders import Orders
from bot.platforms.sfu import SfuPlatform
from common.contracts.status import SubCode


class Janus(SfuPlatform):
    """The platform `janus`: `meetingUrl` is the server's websocket, `janus.room` the room."""

    settings_model = JanusSettings
    name = "janus"
    server = "its websocket, janus+ws://host:8188 or janus+wss://host/path"
    room = "the video room, a number or a text"

    def prepare(self) -> None:
        """See `bot.platforms.base.Platform`: aiortc."""
        import bot.platforms.janus.attendance  # noqa: F401

    async def attend(self, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
        """See `bot.platforms.base.Platform`."""
        from bot.platforms.janus.attendance import attend

        return await attend(invitation, listener, orders)
