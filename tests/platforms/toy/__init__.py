"""Toy: a platform from outside `bot/`, whole in this folder. Guide: README.md; example: example.jsonc."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, SecretStr

from bot.platforms.base import Invitation, Listener, Platform
from bot.platforms.orders import Orders
from bot.settings import Settings, Text, is_url
from common.contracts.status import SubCode
from common.problems import Problem, shown


class ToySettings(Settings):
    """The room on the server, and its key."""

    room: Text = Field(description="Name of the room.")
    room_key: SecretStr = Field(description="Key of the room.")


class Toy(Platform):
    """The platform `toy`: `meetingUrl` is the server, `toy` names the room and opens it."""

    settings_model = ToySettings

    def claims(self, url: str) -> bool:
        """`toy://host:port`."""
        return url.startswith("toy://")

    def problems(self, given: Mapping[str, Any]) -> list[Problem]:
        """A server and a room must be named."""
        found = []
        url = given.get("meetingUrl")
        if not is_url(url, "toy"):
            found.append(Problem("meetingUrl", shown(url) if url else "(missing)", "for toy: toy://host:port"))
        if "toy" not in given:
            found.append(Problem("toy", "(missing)", "for toy: {room, roomKey}"))
        return found

    def warnings(self, invitation: Invitation) -> list[str]:
        """A key that can be guessed."""
        settings: ToySettings = invitation.settings
        return ["toy.roomKey is short"] if len(settings.room_key.get_secret_value()) < 8 else []

    def prepare(self) -> None:
        """See `bot.platforms.base.Platform`."""
        import tests.platforms.toy.attendance  # noqa: F401

    async def attend(self, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
        """See `bot.platforms.base.Platform`."""
        from tests.platforms.toy.attendance import attend

        return await attend(invitation, listener, orders)
