"""WHEP: one stream from a media server's WHEP endpoint. Guide: docs/whep.md; example: configs/whep.example.jsonc."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.core.orders import Reconnect, Resubscribe
from bot.platforms.base import Invitation, Listener, Platform
from bot.platforms.orders import Orders
from bot.platforms.whep.settings import WhepSettings
from bot.settings import is_url
from common.contracts.status import SubCode
from common.problems import Problem, shown

SCHEMES = ("whep+http", "whep+https")


class Whep(Platform):
    """The platform `whep`: `meetingUrl` is the endpoint."""

    settings_model = WhepSettings
    carries_out = frozenset({Resubscribe, Reconnect})

    def claims(self, url: str) -> bool:
        """`whep+https://host/path` or `whep+http://host:port/path`."""
        return url.startswith(tuple(f"{scheme}://" for scheme in SCHEMES))

    def problems(self, given: Mapping[str, Any]) -> list[Problem]:
        """An endpoint must be named."""
        url = given.get("meetingUrl")
        if is_url(url, *SCHEMES):
            return []
        allowed = "for whep: the endpoint with whep+ before it, whep+https://host/path or whep+http://host:port/path"
        return [Problem("meetingUrl", "(missing)" if url is None else shown(url), allowed)]

    def prepare(self) -> None:
        """See `bot.platforms.base.Platform`: aiortc."""
        import bot.platforms.whep.attendance  # noqa: F401

    async def try_out(self, invitation: Invitation) -> str | None:
        """See `bot.platforms.base.Platform`: an offer is made, and what comes of it given back."""
        from bot.platforms.whep.attendance import try_out

        return await try_out(invitation)

    async def attend(self, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
        """See `bot.platforms.base.Platform`."""
        from bot.platforms.whep.attendance import attend

        return await attend(invitation, listener, orders)
