"""mediasoup: rooms of an application on it. Guide: docs/mediasoup.md; example: configs/mediasoup.example.jsonc."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.platforms.mediasoup.settings import MediasoupSettings
from bot.platforms.sfu import SfuPlatform

if TYPE_CHECKING:
    from bot.platforms.mediasoup.room import MediasoupRoom


class Mediasoup(SfuPlatform):
    """The platform `mediasoup`: `meetingUrl` is the application's websocket, `mediasoup.room` the room."""

    settings_model = MediasoupSettings
    name, title = "mediasoup", "the mediasoup application"
    allowed_url = "the application's websocket, mediasoup+ws://host:port or mediasoup+wss://host/path"
    allowed_room = "the room's name"

    def speaks(self) -> type[MediasoupRoom]:
        """See `SfuPlatform`."""
        from bot.platforms.mediasoup.room import MediasoupRoom

        return MediasoupRoom
