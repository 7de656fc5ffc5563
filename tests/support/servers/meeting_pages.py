"""Imitations of platforms' pages, each with a room behind it that a test directs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bot.platforms import load
from bot.platforms.base import Invitation
from rehearsal.pages.room import Look, PageRoom
from rehearsal.script import Lobby, Script
from rehearsal.webrtc.room import listening
from tests.support.servers.directed import DirectedRoom
from tests.support.servers.pages import chromium_settings

MEETINGS = {
    "google_meet": "https://meet.google.com/abc-defg-hij",
    "teams": "https://teams.microsoft.com/meet/1234567890123?p=secret",
    "zoom": "https://us02web.zoom.us/j/81234567890?pwd=secret",
    "jitsi": "https://meet.jit.si/EarshotRehearsal",
}
"""Platform → a meeting of it, which the tests' pages stand in for."""


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


class DirectedPageRoom(DirectedRoom[PageRoom]):
    """A room behind a page, whose timeline is the test."""

    def invitation(self, settings: dict[str, Any] | None = None, **changes: Any) -> Invitation:
        """Joins through the page."""
        return invited(self.room.look.platform, self.room.origin, settings, **changes)


@asynccontextmanager
async def page_room(platform: str, lobby: Lobby | None = None, **look: Any) -> AsyncIterator[DirectedPageRoom]:
    """An empty room behind the platform's page, which looks as is said."""
    made = PageRoom(Script((), (), lobby), {}, look=Look(platform, **look))
    async with listening(made) as room:
        yield DirectedPageRoom(room)
