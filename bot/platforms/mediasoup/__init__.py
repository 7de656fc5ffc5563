"""mediasoup: rooms of an application on it. Guide: docs/mediasoup.md; example: configs/mediasoup.example.jsonc."""

from __future__ import annotations

from bot.platforms.base import Invitation, Listener
from bot.platforms.mediasoup.settings import MediasoupSettings
from bot.platforms.orders import Orders
from bot.platforms.sfu import SfuPlatform
from common.contracts.status import SubCode


class Mediasoup(SfuPlatform):
    """The platform `mediasoup`: `meetingUrl` is the application's websocket, `mediasoup.room` the room."""

    settings_model = MediasoupSettings
    name = "mediasoup"
    server = "the application's websocket, mediasoup+ws://host:port or mediasoup+wss://host/path"
    room = "the room's name"

    def prepare(self) -> None:
        """See `bot.platforms.base.Platform`: aiortc."""
        import bot.platforms.mediasoup.attendance  # noqa: F401

    async def attend(self, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
        """See `bot.platforms.base.Platform`."""
        from bot.platforms.mediasoup.attendance import attend

        return await attend(invitation, listener, orders)
