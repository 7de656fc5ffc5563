"""LiveKit in a web page: any application on livekit-client. Guide: docs/livekit_web.md; example:
configs/livekit_web.example.jsonc."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.platforms.base import Invitation, Listener, Platform
from bot.platforms.orders import Orders
from bot.settings import is_url
from common.contracts.status import SubCode
from common.problems import Problem, shown

SCHEME = "livekit+"


class LiveKitWeb(Platform):
    """The platform `livekit_web`: `meetingUrl` is the page, which shows its `Room` as `window.__lk_room`."""

    token_opens_room = True
    opens_page = True

    def claims(self, url: str) -> bool:
        """Whether the URL says that a LiveKit page is behind it."""
        return url.startswith((f"{SCHEME}http://", f"{SCHEME}https://"))

    def problems(self, given: Mapping[str, Any]) -> list[Problem]:
        """The page must be named."""
        url = given.get("meetingUrl")
        if is_url(url, f"{SCHEME}http", f"{SCHEME}https"):
            return []
        allowed = "for livekit_web: URL of the page, livekit+https://host/…, with {token} where it wants the token"
        return [Problem("meetingUrl", "(missing)" if url is None else shown(url), allowed)]

    def warnings(self, invitation: Invitation) -> list[str]:
        """What is taken and does nothing."""
        if not invitation.browser.view:
            return []
        return [
            "browser.view does nothing on livekit_web: its page asks nobody for help; browser.headless: window shows it"
        ]

    def prepare(self) -> None:
        """See `bot.platforms.base.Platform`: Playwright."""
        import bot.platforms.livekit_web.attendance  # noqa: F401
        from bot.drivers.browser.page import prepare

        prepare()

    async def attend(self, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
        """See `bot.platforms.base.Platform`."""
        from bot.platforms.livekit_web.attendance import attend

        return await attend(invitation, listener, orders)
