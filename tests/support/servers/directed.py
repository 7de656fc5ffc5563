"""A rehearsal room whose timeline is the test: what somebody does in it, when the test says so."""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np

from rehearsal.clips import CLIP_RATE, Clip
from rehearsal.script import Action, Participant
from rehearsal.webrtc.room import Room

R = TypeVar("R", bound=Room)


def sine(hertz: float, seconds: float = 60.0) -> Clip:
    """A long tone of whole hertz, so that each second is the same; 0 Hz: digital zeros."""
    second = (8000 * np.sin(2 * np.pi * hertz * np.arange(CLIP_RATE) / CLIP_RATE)).astype(np.int16)
    pcm = np.resize(second, round(seconds * CLIP_RATE))
    return Clip(pcm, None, (0, pcm.size))


class DirectedRoom(Generic[R]):
    """A room of the rehearsal, of whichever kind, as `tests.platforms.rooms.Room` wants it but for the invitation."""

    def __init__(self, room: R) -> None:
        self.room = room

    async def join(self, who: str, name: str, *, publishes: bool = True) -> None:
        """Somebody who is not in the script joins."""
        self.room.enter(Participant(id=who, name=name), publishes)

    async def tone(self, who: str, hertz: float) -> None:
        """A clip of 60 s takes the place of the former."""
        self.room.speak(who, sine(hertz))

    async def mute(self, who: str) -> None:
        """The script's action."""
        self.room.perform(Action(at=0, do="mute", who=who))

    async def unmute(self, who: str) -> None:
        """The script's action."""
        self.room.perform(Action(at=0, do="unmute", who=who))

    async def rename(self, who: str, name: str) -> None:
        """The script's action."""
        self.room.perform(Action(at=0, do="rename", who=who, name=name))

    async def leave(self, who: str) -> None:
        """The script's action."""
        self.room.perform(Action(at=0, do="leave", who=who))

    async def admit(self) -> None:
        """Whoever waits is let in."""
        self.room.open_lobby.set()

    async def cut(self, seconds: float) -> None:
        """The script's action."""
        self.room.perform(Action.model_validate({"at": 0.0, "do": "cut", "for": seconds}))

    async def remove_bot(self) -> None:
        """The script's action."""
        self.room.perform(Action(at=0, do="remove"))

    async def end(self) -> None:
        """The script's action."""
        self.room.perform(Action(at=0, do="end"))
