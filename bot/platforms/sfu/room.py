"""A room on an SFU, as one connection to it: what a platform implements, and `attendance` calls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from bot.platforms.differences import Seen
from bot.platforms.sfu.line import Line, Message
from common.contracts.status import SubCode

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from bot.drivers.webrtc import TrackReceiver
    from bot.platforms.base import Invitation


class Refused(Exception):
    """The server answered a request, and says no."""


class Encrypted(Exception):
    """The media of a track are end-to-end encrypted, and the SFU has no key to give."""


class SfuRoom(ABC):
    """One connection to the room's server, from entering to leaving.

    Args:
        websocket: Open, and fresh.
        invitation: What opens the room.
        changed: To be called when `look` or `ended` has something new.
        lost: To be called with the id of a track whose media the server has ended.
    """

    def __init__(
        self,
        websocket: ClientConnection,
        invitation: Invitation,
        changed: Callable[[], None],
        lost: Callable[[str], None],
    ) -> None:
        self.line = Line(websocket, self.answers, self.told)
        self._invitation, self._changed, self._lost = invitation, changed, lost
        self.ended: SubCode | None = None
        """Why we are not in the room any more; None: we are, or the connection is broken."""

    @abstractmethod
    def answers(self, message: Message) -> str | int | None:
        """The key of the request that a message answers; None: it came unasked."""

    @abstractmethod
    def told(self, message: Message) -> None:
        """Takes what came unasked, garbage too."""

    @abstractmethod
    async def enter(self) -> None:
        """Enters the room.

        Raises:
            EarshotError: We are not let in, with the sub-code and the words for it.
            LineBroken, TimeoutError: The connection is gone, or nothing is answered.
        """

    @abstractmethod
    async def try_out(self) -> str:
        """Asks what can be asked without entering the room: what is there, in words. Raises as `enter`."""

    @abstractmethod
    async def keep_alive(self) -> None:
        """Says from time to time that we are here; never returns. Raises LineBroken."""

    @abstractmethod
    def look(self) -> dict[str, Seen]:
        """Who is in the room beside us, with their tracks."""

    @abstractmethod
    def is_opus(self, track_id: str) -> bool:
        """Whether a track that `look` showed can be heard."""

    @abstractmethod
    async def subscribe(self, track_id: str, receiver: TrackReceiver) -> None:
        """Asks for a track, and agrees on its media with the receiver.

        Raises:
            Refused: The server does not give it.
            Encrypted: It is end-to-end encrypted.
            ValueError: What the server offers cannot be used.
            LineBroken, TimeoutError: The connection is gone, or nothing is answered.
        """

    @abstractmethod
    async def unsubscribe(self, track_id: str) -> None:
        """Gives a track back, whether it was heard or not. Raises LineBroken."""

    @abstractmethod
    async def leave(self) -> None:
        """Leaves in order. Raises Refused, LineBroken or TimeoutError."""
