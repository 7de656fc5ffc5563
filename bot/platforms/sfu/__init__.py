"""SFUs joined without an SDK of their vendors: signalling over a websocket and a connection per track, shared."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from bot.core.orders import Reconnect, Resubscribe
from bot.platforms.base import Invitation, Listener, Platform
from bot.platforms.orders import Orders
from bot.settings import is_url
from common.contracts.status import SubCode
from common.problems import Problem, shown

if TYPE_CHECKING:
    from bot.platforms.sfu.attendance import Server
    from bot.platforms.sfu.room import SfuRoom


class SfuPlatform(Platform):
    """A platform whose `meetingUrl` is a websocket, its own name before the scheme, and whose settings name a room."""

    carries_out = frozenset({Resubscribe, Reconnect})
    name: ClassVar[str]
    """The platform's, in the registry."""
    allowed_url: ClassVar[str]
    """What the websocket is, and forms of its URL, for people."""
    allowed_room: ClassVar[str]
    """What the room is, for people."""
    title: ClassVar[str]
    """Of the server's software."""
    subprotocol: ClassVar[str | None] = None
    """That the websocket must speak; None: none is asked for."""

    @abstractmethod
    def speaks(self) -> type[SfuRoom]:
        """How its rooms are spoken to, imported."""

    def prepare(self) -> None:
        """See `bot.platforms.base.Platform`: aiortc."""
        import bot.platforms.sfu.attendance  # noqa: F401

        self.speaks()

    async def try_out(self, invitation: Invitation) -> str | None:
        """See `bot.platforms.base.Platform`: the server is asked, and nobody sees us."""
        from bot.platforms.sfu.attendance import try_out

        return await try_out(self._server(invitation), invitation)

    async def attend(self, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
        """See `bot.platforms.base.Platform`."""
        from bot.platforms.sfu.attendance import attend

        return await attend(self._server(invitation), invitation, listener, orders)

    def _server(self, invitation: Invitation) -> Server:
        from bot.platforms.sfu.attendance import Server

        url = (invitation.meeting_url or "").removeprefix(f"{self.name}+")
        return Server(self.title, url, self.subprotocol, self.speaks())

    def claims(self, url: str) -> bool:
        """`NAME+ws://host:port/path` or `NAME+wss://host/path`."""
        return url.startswith((f"{self.name}+ws://", f"{self.name}+wss://"))

    def problems(self, given: Mapping[str, Any]) -> list[Problem]:
        """A server and a room of it must be named."""
        found = []
        url = given.get("meetingUrl")
        if not is_url(url, f"{self.name}+ws", f"{self.name}+wss"):
            text = "(missing)" if url is None else shown(url)
            found.append(Problem("meetingUrl", text, f"for {self.name}: {self.allowed_url}"))
        if self.name not in given:
            found.append(Problem(f"{self.name}.room", "(missing)", f"for {self.name}: {self.allowed_room}"))
        return found
