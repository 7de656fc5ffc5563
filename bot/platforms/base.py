"""What a meeting platform owes the bot, and all that it gets to know.

A platform turns one kind of meeting into `PlatformEvent`s and `AudioFrame`s. It never talks to Redis, to the
transcriber or to the state machine, has no policy (when to leave, who matters), and frees everything it opened when
`attend` returns, raises or is cancelled.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from bot.core.errors import SubCode
from bot.core.events import PlatformEvent

if TYPE_CHECKING:
    from bot.config import BotConfig


@dataclass(frozen=True, slots=True)
class AudioFrame:
    """A piece of one track, on the sender's clock.

    Args:
        track_id: The track of an earlier `TrackOpened`.
        pcm: int16 mono samples at 16 kHz, shape (n,), n > 0, at most 120 ms in normal operation.
        position: Index of `pcm[0]` on the sender's 16 kHz clock. Contiguous frames have contiguous positions; a jump
            forward is time in which nothing was sent (DTX, loss given up). Never moves backwards within one `source`.
        source: What the clock belongs to (SSRC, or a counter): when it changes, positions start anew.
        arrival: When the first of these samples could have been heard here: monotonic seconds.
    """

    track_id: str
    pcm: NDArray[np.int16]
    position: int
    source: int
    arrival: float


class Listener(Protocol):
    """Who a platform reports to. Both methods are synchronous, cheap, and are called from the event loop's thread."""

    def event(self, event: PlatformEvent) -> None:
        """Something happened in the meeting."""

    def audio(self, frame: AudioFrame) -> None:
        """A piece of an opened track arrived."""


class Platform(Protocol):
    """One kind of meeting. Implementations take no arguments; registered in `bot.platforms.PLATFORMS`."""

    def claims(self, url: str) -> bool:
        """Whether this platform serves the meeting URL. Pure; at most one platform claims a URL."""

    async def attend(self, config: BotConfig, listener: Listener, leave: asyncio.Event) -> SubCode:
        """Joins the meeting and stays until it is over or `leave` is set; then leaves and returns why it ended.

        Order: `LobbyEntered` (if there is a lobby) → `Admitted` → participants and tracks already there → what
        happens. Short breaks of the connection are survived with `TransportLost` / `TransportBack` around them.

        Returns:
            LEFT_BY_COMMAND when `leave` was set, MEETING_ENDED, REMOVED or DUPLICATE_IDENTITY.

        Raises:
            EarshotError: ROOM_UNREACHABLE, TOKEN_REFUSED, TOKEN_EXPIRED, JOIN_REFUSED, JOIN_TIMEOUT (within 20 s) or
                CONNECTION_LOST, with a message that names the setting or the peer.
        """
