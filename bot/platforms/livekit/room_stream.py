"""The stream of one room on an RTMP server: where LiveKit's egress publishes it, and where we play it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from bot.platforms.livekit.settings import EgressSettings
from bot.platforms.rtmp.access import KEY_LIFE_S, with_key

PUBLISH_KEY_LIFE_S = 6 * 3600
"""An egress that reconnects by itself uses its key again."""


@dataclass(frozen=True, slots=True)
class RoomStream:
    """Of one bot's room. Its URLs have keys in them.

    Args:
        settings: Name the server, and the secret that keys are made of.
        session: Names the stream.
        wall: Seconds since 1970.
    """

    settings: EgressSettings
    session: str
    wall: Callable[[], float]

    @property
    def to_publish(self) -> str:
        """As LiveKit reaches it."""
        return self._url(self.settings.ingest_url, "publish", PUBLISH_KEY_LIFE_S)

    @property
    def to_play(self) -> str:
        """As we reach it."""
        return self._url(self.settings.pull_url or self.settings.ingest_url, "play", KEY_LIFE_S)

    def _url(self, base: str, call: str, life: float) -> str:
        url = f"{base.rstrip('/')}/{quote(self.session, safe='')}"
        if self.settings.secret is None:
            return url
        return with_key(url, call, round(self.wall() + life), self.settings.secret.get_secret_value())
