"""Plain RTP: streams that are forwarded to UDP ports. Guide: docs/rtp.md; example: configs/rtp.example.jsonc."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.platforms.base import Invitation, Listener, Platform
from bot.platforms.orders import Orders
from bot.platforms.rtp.settings import RtpSettings, is_rtp_url
from common.contracts.status import SubCode
from common.problems import Problem, shown


class Rtp(Platform):
    """The platform `rtp`: `meetingUrl` is where the bot listens, `rtp` says what comes and whose it is."""

    settings_model = RtpSettings

    def claims(self, url: str) -> bool:
        """`rtp://address` or `rtp://address:port`."""
        return url.startswith("rtp://")

    def problems(self, given: Mapping[str, Any]) -> list[Problem]:
        """Where to listen must be said."""
        url = given.get("meetingUrl")
        if is_rtp_url(url):
            return []
        allowed = "for rtp: where to listen, rtp://address:port or rtp://address, for example rtp://0.0.0.0:5004"
        return [Problem("meetingUrl", "(missing)" if url is None else shown(url), allowed)]

    def prepare(self) -> None:
        """See `bot.platforms.base.Platform`: numpy."""
        import bot.platforms.rtp.attendance  # noqa: F401

    async def attend(self, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
        """See `bot.platforms.base.Platform`."""
        from bot.platforms.rtp.attendance import attend

        return await attend(invitation, listener, orders)
