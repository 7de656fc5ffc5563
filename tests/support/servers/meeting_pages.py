"""Imitations of platforms' pages, each with a room behind it that a test directs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from bot.platforms import load
from bot.platforms.base import Invitation
from rehearsal.clips import CLIP_RATE, Clip
from rehearsal.pages.room import Look, PageRoom
from rehearsal.script import Action, Lobby, Participant, Script
from rehearsal.webrtc.room import listening
from tests.support.servers.pages import chromium_settings

MEETINGS = {
    "google_meet": "https://meet.google.com/abc-defg-hij",
    "teams": "https://teams.microsoft.com/meet/1234567890123?p=secret",
    "zoom": "https://us02web.zoom.us/j/81234567890?pwd=secret",
    "jitsi": "https://meet.jit.si/EarshotRehearsal",
}
"""Platform → a meeting of it, which the tests' pages stand in for."""


def sine(hertz: float, seconds: float = 60.0) -> Clip:
    """A long tone; 0 Hz: digital zeros."""
    pcm = (8000 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * CLIP_RATE)) / CLIP_RATE)).astype(np.int16)
    return Clip(pcm, None, (0, pcm.size))


def invited(platform: str, origin: str, settings: dict[str, Any] | None = None, **changes: Any) -> Invitation:
    """An invitation to the platform's meeting, whose page is served at an origin of the test."""
    model = load(platform).settings_model
    assert model is not None
    usual: dict[str, Any] = {
        "meeting_url": MEETINGS[platform],
        "connection_id": "bot-1",
        "bot_name": "Earshot",
        "settings": model.model_validate({"origin": origin} | (settings or {})),
        "browser": chromium_settings(),
    }
    return Invitation(**(usual | changes))


class DirectedPageRoom:
    """A room behind a page, whose timeline is the test."""

    def __init__(self, room: PageRoom) -> None:
        self.room = room

    def invitation(self, settings: dict[str, Any] | None = None, **changes: Any) -> Invitation:
        """Joins through the page."""
        return invited(self.room.look.platform, self.room.origin, settings, **changes)

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


@asynccontextmanager
async def page_room(platform: str, lobby: Lobby | None = None, **look: Any) -> AsyncIterator[DirectedPageRoom]:
    """An empty room behind the platform's page, which looks as is said."""
    made = PageRoom(Script((), (), lobby), {}, look=Look(platform, **look))
    async with listening(made) as room:
        yield DirectedPageRoom(room)
