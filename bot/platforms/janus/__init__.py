"""Janus: rooms of its video room plugin. Guide: docs/janus.md; example: configs/janus.example.jsonc."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.core.orders import Reconnect, Resubscribe
from bot.platforms.base import Invitation, Listener, Platform
from bot.platforms.janus.settings import JanusSettings
from bot.platforms.orders import Orders
from bot.settings import is_url
from common.contracts.status import SubCode
from common.problems import Problem, shown

SCHEMES = ("janus+ws", "janus+wss")


class Janus(Platform):
    """The platform `janus`: `meetingUrl` is the server's websocket, `janus.room` the room."""

    settings_model = JanusSettings
    carries_out = frozenset({Resubscribe, Reconnect})

    def claims(self, url: str) -> bool:
        """`janus+ws://host:8188` or `janus+wss://host/path`."""
        return url.startswith(tuple(f"{scheme}://" for scheme in SCHEMES))

    def problems(self, given: Mapping[str, Any]) -> list[Problem]:
        """A server and a room of it must be named."""
        found = []
        url = given.get("meetingUrl")
        if not is_url(url, *SCHEMES):
            allowed = "for janus: its websocket, janus+ws://host:8188 or janus+wss://host/path"
            found.append(Problem("meetingUrl", "(missing)" if url is None else shown(url), allowed))
        if "janus" not in given:
            found.append(Problem("janus.room", "(missing)", "for janus: the video room, a number or a text"))
        return found

    def prepare(self) -> None:
        """See `bot.platforms.base.Platform`: aiortc."""
        import bot.platforms.janus.attendance  # noqa: F401

    async def attend(self, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
        """See `bot.platforms.base.Platform`."""
        from bot.platforms.janus.attendance import attend

        return await attend(invitation, listener, orders)
