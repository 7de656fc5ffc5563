"""LiveKit against a real livekit-server with real publishers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from pydantic import SecretStr

from bot.config import BotConfig, LiveKitSettings
from bot.core.errors import SubCode
from bot.rehearsal.livekit_server import LiveKitServer
from tests.platforms.contract import PlatformContract, Room
from tests.support.livekit import bot_config, directed_room

pytestmark = [pytest.mark.livekit, pytest.mark.slow]


class TestLiveKit(PlatformContract):
    """The contract suite, in rooms of a real server."""

    platform = "livekit"
    refusal = SubCode.TOKEN_REFUSED
    server: LiveKitServer

    @pytest.fixture(autouse=True)
    def _server(self, livekit: LiveKitServer) -> None:
        self.server = livekit

    def room(self, lobby: bool = False) -> AbstractAsyncContextManager[Room]:
        return directed_room(self.server)

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[BotConfig]:
        forged = LiveKitSettings(room="r", api_key=self.server.api_key, api_secret=SecretStr("x" * 32))
        yield bot_config(self.server, "r", livekit=forged)

    def unreachable(self) -> tuple[BotConfig, str]:
        return bot_config(self.server, "r", meeting_url="ws://198.51.100.1:9"), "198.51.100.1:9"
