"""Rehearsal: meetings from a script. Guide: docs/rehearsal.md; example: configs/rehearsal.example.jsonc."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.core.orders import Reconnect, Rejoin
from bot.platforms.base import Invitation, Listener, Platform
from bot.platforms.orders import Orders
from bot.settings import is_url
from common.contracts.status import SubCode
from common.problems import Problem, shown

ROOM, SCRIPT = "rehearsal+ws://", "rehearsal:"
"""How the URL of a running room begins, and that of a script to start one with."""


class Rehearsal(Platform):
    """The platform `rehearsal`: joins a running room, or one of a script that is started for the occasion."""

    carries_out = frozenset({Reconnect, Rejoin})

    def claims(self, url: str) -> bool:
        """`rehearsal+ws://host:port` or `rehearsal:path/to/script.json`."""
        return url.startswith((ROOM, SCRIPT))

    def problems(self, given: Mapping[str, Any]) -> list[Problem]:
        """A room or a script must be named."""
        url = given.get("meetingUrl")
        if isinstance(url, str) and url.startswith(SCRIPT) and url.removeprefix(SCRIPT).strip("/ "):
            return []
        if is_url(url, "rehearsal+ws"):
            return []
        allowed = "for rehearsal: rehearsal+ws://host:port of a running room, or rehearsal:path/to/script.json"
        return [Problem("meetingUrl", "(missing)" if url is None else shown(url), allowed)]

    def prepare(self) -> None:
        """See `bot.platforms.base.Platform`: aiortc."""
        import bot.platforms.rehearsal.attendance  # noqa: F401

    async def attend(self, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
        """See `bot.platforms.base.Platform`."""
        from bot.platforms.rehearsal.attendance import attend

        return await attend(invitation, listener, orders)
