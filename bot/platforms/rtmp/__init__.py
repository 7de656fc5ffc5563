"""RTMP: a room's sound, published to an RTMP server. Guide: docs/rtmp.md; example: configs/rtmp.example.jsonc."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bot.core.orders import Reconnect
from bot.platforms.base import Invitation, Listener, Platform
from bot.platforms.orders import Orders
from bot.platforms.rtmp.settings import RtmpSettings
from bot.settings import is_url
from common.contracts.status import SubCode
from common.problems import Problem, shown

SCHEMES = ("rtmp", "rtmps")
FORM = "for rtmp: rtmp://host[:port]/app/stream or rtmps://…, for example rtmp://rtmp:1935/live/standup"
MIN_SECRET_CHARACTERS = 16


class Rtmp(Platform):
    """The platform `rtmp`: everybody in one mix, of which nobody says who speaks."""

    settings_model = RtmpSettings
    carries_out = frozenset({Reconnect})

    def claims(self, url: str) -> bool:
        """`rtmp://` and `rtmps://`."""
        return url.startswith(("rtmp://", "rtmps://"))

    def problems(self, given: Mapping[str, Any]) -> list[Problem]:
        """A server, an application on it and a stream must be named; keys stand in the query, not before the host."""
        url = given.get("meetingUrl")
        if is_url(url, *SCHEMES) and isinstance(url, str):
            parts = urlsplit(url)
            app, _, stream = parts.path.lstrip("/").rpartition("/")
            if app and stream and parts.username is None and not parts.fragment:
                return []
        return [Problem("meetingUrl", "(missing)" if url is None else shown(url), FORM)]

    def warnings(self, invitation: Invitation) -> list[str]:
        """A key that can be guessed, or that is not used."""
        settings: RtmpSettings | None = invitation.settings
        if settings is None or settings.secret is None:
            return []
        if "k" in parse_qs(urlsplit(invitation.meeting_url or "").query):
            return ["meetingUrl has a key, and rtmp.secret is given too: the key of the URL is used, none is made"]
        if len(settings.secret.get_secret_value()) < MIN_SECRET_CHARACTERS:
            words = f"rtmp.secret has fewer than {MIN_SECRET_CHARACTERS} characters"
            return [f"{words}: whoever guesses it can listen to every stream of the server, and publish"]
        return []

    def prepare(self) -> None:
        """See `bot.platforms.base.Platform`: PyAV."""
        import bot.platforms.rtmp.attendance  # noqa: F401

    async def attend(self, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
        """See `bot.platforms.base.Platform`."""
        from bot.platforms.rtmp.attendance import attend

        return await attend(invitation, listener, orders)
