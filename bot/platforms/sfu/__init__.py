"""What SFUs joined without an SDK of their vendors share: signalling over a websocket, a connection per track."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from bot.core.orders import Reconnect, Resubscribe
from bot.platforms.base import Platform
from bot.settings import is_url
from common.problems import Problem, shown


class SfuPlatform(Platform):
    """A platform whose `meetingUrl` is a websocket, its own name before the scheme, and whose settings name a room."""

    carries_out = frozenset({Resubscribe, Reconnect})
    name: ClassVar[str]
    """The platform's, in the registry."""
    server: ClassVar[str]
    """What the websocket is, and forms of its URL, for people."""
    room: ClassVar[str]
    """What the room is, for people."""

    def claims(self, url: str) -> bool:
        """`NAME+ws://host:port/path` or `NAME+wss://host/path`."""
        return url.startswith((f"{self.name}+ws://", f"{self.name}+wss://"))

    def problems(self, given: Mapping[str, Any]) -> list[Problem]:
        """A server and a room of it must be named."""
        found = []
        url = given.get("meetingUrl")
        if not is_url(url, f"{self.name}+ws", f"{self.name}+wss"):
            text = "(missing)" if url is None else shown(url)
            found.append(Problem("meetingUrl", text, f"for {self.name}: {self.server}"))
        if self.name not in given:
            found.append(Problem(f"{self.name}.room", "(missing)", f"for {self.name}: {self.room}"))
        return found
