"""LiveKit in a web page: the official client in a real Chromium, against a real livekit-server with real publishers."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.core.events import Admitted, ParticipantJoined, ParticipantLeft, TrackEncrypted, TransportBack, TransportLost
from bot.platforms.base import Invitation
from bot.platforms.livekit_web import LiveKitWeb
from rehearsal.livekit.guest import guest_token
from rehearsal.livekit.server import LiveKitServer
from tests.platforms.contract import Attending, PlatformContract, Room, attending
from tests.support.processes import descendants
from tests.support.servers.livekit import DirectedRoom, room_of
from tests.support.servers.pages import chromium_settings, serve_pages
from tests.support.tools import require

pytestmark = [
    pytest.mark.livekit,
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(90),
    pytest.mark.cores(0.6),
    pytest.mark.usefixtures("driver_of_file"),
]

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "build" / "livekit-page" / "node_modules" / "livekit-client" / "dist" / "livekit-client.umd.js"
NO_CLIENT = "livekit-client is missing: run `make build/livekit-page` (needs npm)"


def pages() -> dict[str, str]:
    """The test page and livekit-client."""
    require(CLIENT.exists(), NO_CLIENT)
    index = ROOT / "tests" / "support" / "livekit_page" / "index.html"
    return {"/": index.read_text(encoding="utf-8"), "/livekit-client.js": CLIENT.read_text(encoding="utf-8")}


class WebRoom(DirectedRoom):
    """A directed room that is entered through the page."""

    page: str

    def invitation(self, **changes: Any) -> Invitation:
        token = guest_token(self.server, self.name, "bot-1", "Earshot", video={"canPublish": False})
        usual: dict[str, Any] = {
            "meeting_url": f"livekit+{self.page}/#url={self._door.url}&token={{token}}",
            "connection_id": "bot-1",
            "bot_name": "Earshot",
            "token": token,
            "browser": chromium_settings(),
        }
        return Invitation(**(usual | changes))


@asynccontextmanager
async def web_room(server: LiveKitServer) -> AsyncIterator[WebRoom]:
    """A fresh, empty room and the page that leads into it."""
    async with serve_pages(pages()) as url, room_of(WebRoom, server) as room:
        room.page = url
        yield room


class TestLiveKitWeb(PlatformContract):
    """The contract suite, in rooms of a real server, entered through a real Chromium."""

    platform = "livekit_web"
    patience = 40.0  # Chromium starts, beside whatever else this machine does
    server: LiveKitServer

    @pytest.fixture(autouse=True)
    def _server(self, livekit: LiveKitServer) -> None:
        self.server = livekit

    def room(self, lobby: bool = False) -> AbstractAsyncContextManager[Room]:
        return web_room(self.server)

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[Invitation]:
        async with web_room(self.server) as room:
            yield room.invitation(token="x.y.z")

    def unreachable(self) -> tuple[Invitation, str]:
        invitation = Invitation(
            meeting_url="livekit+http://198.51.100.1:9/",
            connection_id="bot-1",
            bot_name="Earshot",
            browser=chromium_settings(),
        )
        return invitation, "198.51.100.1:9"


def kill_renderers() -> None:
    """Those of every page here."""
    for process in descendants(os.getpid()):
        if b"--type=renderer" in Path(f"/proc/{process}/cmdline").read_bytes():
            os.kill(process, signal.SIGKILL)


def _bot(room: WebRoom) -> AbstractAsyncContextManager[Attending]:
    return attending(LiveKitWeb(), room.invitation())


async def test_a_page_that_dies_comes_back_with_the_same_people(livekit: LiveKitServer) -> None:
    """The renderer is killed: lost and back, nobody is said to have come or gone, and they are heard again."""
    async with web_room(livekit) as room:
        await room.join("ana", "Ana")
        await room.tone("ana", 440)
        async with _bot(room) as bot:
            await bot.hears("ana", 440, 30)
            kill_renderers()
            await bot.listener.until(lambda: bot.listener.count(TransportLost), "lost", 5)
            await bot.listener.until(lambda: bot.listener.count(TransportBack), "back", 20)
            await bot.hears("ana", 440, 20)
            assert (bot.listener.count(Admitted), bot.listener.count(ParticipantLeft)) == (1, 0)
            assert bot.listener.of(ParticipantJoined) == [ParticipantJoined("ana", "Ana")]


async def test_encrypted_without_the_key(livekit: LiveKitServer) -> None:
    """An end-to-end encrypted track in a page that has no key: said, and never heard as noise for long."""
    async with web_room(livekit) as room:
        await room.join("eve", "Eve", key="secret")
        await room.tone("eve", 440)
        async with _bot(room) as bot:
            await bot.listener.until(lambda: bot.listener.count(TrackEncrypted), "encrypted", 30)
