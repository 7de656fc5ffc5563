"""LiveKit: rooms of a LiveKit server. Guide: docs/livekit.md; example: configs/livekit.example.jsonc."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.core.orders import Reconnect, Resubscribe
from bot.platforms.base import Invitation, Listener, Platform
from bot.platforms.livekit.settings import LiveKitSettings, egress_problems
from bot.platforms.orders import Orders
from bot.settings import is_url
from common.contracts.status import SubCode
from common.errors import EarshotError
from common.problems import Problem, shown
from common.redact import redact_url

MIN_API_SECRET_CHARACTERS = 32
"""LiveKit signs with HS256: a shorter secret can be guessed (its own `--dev` pair is `devkey` / `secret`)."""


class LiveKit(Platform):
    """The platform `livekit`: `meetingUrl` is the server, the token names the room."""

    settings_model = LiveKitSettings
    token_opens_room = True
    carries_out = frozenset({Resubscribe, Reconnect})

    def claims(self, url: str) -> bool:
        """Whether the URL is one of a websocket server."""
        return url.startswith(("ws://", "wss://"))

    def problems(self, given: Mapping[str, Any]) -> list[Problem]:
        """A server, and a way into a room of it, must be named."""
        found = []
        url = given.get("meetingUrl")
        if not is_url(url, "ws", "wss"):
            allowed = "for livekit: URL of the server, ws://host:port or wss://host"
            found.append(Problem("meetingUrl", "(missing)" if url is None else shown(url), allowed))
        if "token" not in given and "livekit" not in given:
            allowed = "for livekit: the room JWT; or livekit {room, apiKey, apiSecret} to mint one"
            found.append(Problem("token", "(missing)", allowed))
        elif "token" not in given and isinstance(given["livekit"], Mapping):
            allowed = "for livekit: without `token`, livekit {room, apiKey, apiSecret} to mint one"
            missing = [key for key in ("room", "apiKey", "apiSecret") if key not in given["livekit"]]
            found += [Problem(f"livekit.{key}", "(missing)", allowed) for key in missing]
        own = given.get("livekit")
        return found + (egress_problems(own, "token" in given) if isinstance(own, Mapping) else [])

    def warnings(self, invitation: Invitation) -> list[str]:
        """Two ways in of which one is not taken, or a key that can be guessed."""
        settings: LiveKitSettings | None = invitation.settings
        if settings is None or settings.api_secret is None:
            return []
        if invitation.token is not None:
            return ["token and livekit.apiSecret are both given: token is used, none is minted"]
        if len(settings.api_secret.get_secret_value()) < MIN_API_SECRET_CHARACTERS:
            words = f"livekit.apiSecret has fewer than {MIN_API_SECRET_CHARACTERS} characters"
            return [f"{words}: whoever guesses it can enter every room of the server"]
        return []

    def neighbours(self, invitation: Invitation) -> list[tuple[str, str, SubCode | None]]:
        """See `bot.platforms.base.Platform`: the RTMP server of an egress."""
        settings: LiveKitSettings | None = invitation.settings
        if settings is None or settings.egress is None or settings.mode == "participant":
            return []
        code = SubCode.EGRESS_UNAVAILABLE if settings.mode == "composite" else None
        if settings.egress.pull_url is not None:
            return [("livekit.egress.pullUrl", settings.egress.pull_url, code)]
        return [("livekit.egress.ingestUrl", settings.egress.ingest_url, code)]

    def prepare(self) -> None:
        """See `bot.platforms.base.Platform`: LiveKit's SDK."""
        import bot.platforms.livekit.attendance  # noqa: F401

    async def try_out(self, invitation: Invitation) -> str:
        """See `bot.platforms.base.Platform`: the server says whether the key or token opens the room. Nobody enters."""
        from bot.platforms.livekit.access import ask_server, room_name, room_token

        url, token = invitation.meeting_url or "", room_token(invitation)
        await ask_server(url, token)
        return f"{redact_url(url)} would let us into the room {room_name(token)!r}"

    async def attend(self, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
        """See `bot.platforms.base.Platform`."""
        if not self.claims(invitation.meeting_url or ""):
            raise EarshotError(SubCode.ROOM_UNREACHABLE, "`meetingUrl` must be ws:// or wss:// of a LiveKit server")
        from bot.platforms.livekit.attendance import attend

        return await attend(invitation, listener, orders)
