"""A room that a test directs: what the contract suite wants of a platform's counterpart."""

from __future__ import annotations

from typing import Protocol

from bot.platforms.base import Invitation


class Room(Protocol):
    """A meeting on a real counterpart, directed by the test. `who` is the platform's stable identity."""

    def invitation(self) -> Invitation:
        """With what a bot joins this room."""

    async def join(self, who: str, name: str, *, publishes: bool = True) -> None:
        """A person joins and, if `publishes`, opens an unmuted audio track. Returns when the room knows of it."""

    async def tone(self, who: str, hertz: float) -> None:
        """From now on the person's microphone picks up a sine of that pitch; 0 = digital zeros. Does not wait."""

    async def mute(self, who: str) -> None:
        """The person mutes; the tone goes on unheard."""

    async def unmute(self, who: str) -> None:
        """The person unmutes."""

    async def rename(self, who: str, name: str) -> None:
        """The person changes the display name."""

    async def leave(self, who: str) -> None:
        """The person leaves the meeting."""

    async def admit(self) -> None:
        """The host lets the waiting bot in (rooms with a lobby only)."""

    async def cut(self, seconds: float) -> None:
        """The bot's connection breaks and can be had again after `seconds`. Returns at once or after the cut."""

    async def remove_bot(self) -> None:
        """The host removes the bot."""

    async def end(self) -> None:
        """The host ends the meeting for everyone."""
