"""A platform's contract: what it owes the bot, and all that it gets to know.

A platform turns one kind of meeting into `PlatformEvent`s and `AudioFrame`s. It never talks to Redis, to the
transcriber or to the state machine, has no policy (when to leave, who matters), and frees everything it opened when
`attend` returns, raises or is cancelled.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from bot.core.events import PlatformEvent
from common.contracts.status import SubCode

if TYPE_CHECKING:
    from bot.audio.frame import AudioFrame
    from bot.platforms.orders import Orders


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a platform needs to join one meeting; nothing of Redis or the transcriber.

    Args:
        meeting_url: Where the meeting is; its form is the platform's.
        native_meeting_id: The platform's own id of the meeting.
        connection_id: Unique to this bot: our identity where the platform lets us choose one.
        bot_name: Our display name.
        settings: The platform's own settings, an instance of its model; None: not given.
        token: Opens the room, where the platform says that a token does.
        passcode: Of the meeting.
    """

    meeting_url: str | None
    connection_id: str
    bot_name: str
    native_meeting_id: str | None = None
    settings: Any = None
    token: str | None = field(default=None, repr=False)
    passcode: str | None = field(default=None, repr=False)


class Listener(Protocol):
    """Who a platform reports to. Both methods are synchronous, cheap, and are called from the event loop's thread."""

    def event(self, event: PlatformEvent) -> None:
        """Something happened in the meeting."""

    def audio(self, frame: AudioFrame) -> None:
        """A piece of an opened track arrived."""


class Platform(Protocol):
    """One kind of meeting. Implementations take no arguments; registered in `bot.platforms.PLATFORMS`."""

    token_opens_room: bool
    """The configuration's `token` opens the room: it is never published, nor told to the transcriber."""

    def claims(self, url: str) -> bool:
        """Whether this platform serves the meeting URL. Pure; at most one platform claims a URL."""

    async def attend(self, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
        """Joins the meeting and stays until it is over or told to leave; then leaves and returns why it ended.

        Order: `LobbyEntered` (if there is a lobby) → `Admitted` → participants and tracks already there → what
        happens. Short breaks of the connection are survived with `TransportLost` / `TransportBack` around them.

        Returns:
            LEFT_BY_COMMAND when `orders.leaving` was set, MEETING_ENDED, REMOVED or DUPLICATE_IDENTITY.

        Raises:
            EarshotError: ROOM_UNREACHABLE, TOKEN_REFUSED, TOKEN_EXPIRED, JOIN_REFUSED, JOIN_TIMEOUT (within 20 s) or
                CONNECTION_LOST, with a message that names the setting or the peer.
        """
