"""Janus: rooms of its video room plugin. Guide: docs/janus.md; example: configs/janus.example.jsonc."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.platforms.janus.settings import JanusSettings
from bot.platforms.sfu import SfuPlatform

if TYPE_CHECKING:
    from bot.platforms.janus.room import JanusRoom


class Janus(SfuPlatform):
    """The platform `janus`: `meetingUrl` is the server's websocket, `janus.room` the room."""

    settings_model = JanusSettings
    name, title, subprotocol = "janus", "Janus", "janus-protocol"
    allowed_url = "its websocket, janus+ws://host:8188 or janus+wss://host/path"
    allowed_room = "the video room, a number or a text"

    def speaks(self) -> type[JanusRoom]:
        """See `SfuPlatform`."""
        from bot.platforms.janus.room import JanusRoom

        return JanusRoom
