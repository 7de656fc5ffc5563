"""mediasoup: rooms of an application on it. Guide: docs/mediasoup.md; example: configs/mediasoup.example.jsonc."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.core.orders import Reconnect, Resubscribe
from bot.platforms.base import Invitation, Listener, Platform
from bot.platforms.mediasoup.settings import MediasoupSettings
from bot.platforms.orders import Orders
from bot.settings import is_url
from common.contracts.status import SubCode
from common.problems import Problem, shown

SCHEMES = ("mediasoup+ws", "mediasoup+wss")


class Mediasoup(Platform):
    """The platform `mediasoup`: `meetingUrl` is the application's websocket, `mediasoup.room` the room."""

    settings_model = MediasoupSettings
    carries_out = frozenset({Resubscribe, Reconnect})

    def claims(self, url: str) -> bool:
        """`mediasoup+ws://host:port/path` or `mediasoup+wss://host/path`."""
        return url.startswith(tuple(f"{scheme}://" for scheme in SCHEMES))

    def problems(self, given: Mapping[str, Any]) -> list[Problem]:
        """An application and a room of it must be named."""
        found = []
        url = given.get("meetingUrl")
        if not is_url(url, *SCHEMES):
            allowed = (
                "for mediasoup: the application's websocket, mediasoup+ws://host:port or mediasoup+wss://host/path"
            )
            found.append(Problem("meetingUrl", "(missing)" if url is None else shown(url), allowed))
        if "mediasoup" not in given:
            found.append(Problem("mediasoup.room", "(missing)", "for mediasoup: the room's name"))
        return found

    def prepare(self) -> None:
        """See `bot.platforms.base.Platform`: aiortc."""
        import bot.platforms.mediasoup.attendance  # noqa: F401

    async def attend(self, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
        """See `bot.platforms.base.Platform`."""
        from bot.platforms.mediasoup.attendance import attend

        return await attend(invitation, listener, orders)
