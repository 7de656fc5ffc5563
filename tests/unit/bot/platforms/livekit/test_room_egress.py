"""One egress from its order to its end. The server here is scripted; a real one is in
tests/platforms/test_livekit_egress.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot.platforms.base import Budget, Invitation
from bot.platforms.livekit import room_egress
from bot.platforms.livekit.egress import Egress, EgressError, EgressState
from bot.platforms.livekit.room_egress import LOOK_INTERVAL_S, RoomEgress
from bot.platforms.livekit.settings import EgressSettings, LiveKitSettings
from bot.platforms.livekit.webhooks import EgressEvent


class Server:
    """A fake: starts an egress that fails at once, and tells of that before it answers the order.

    Args:
        tell: Takes what it tells.
    """

    def __init__(self, tell: Callable[[EgressEvent], None]) -> None:
        self._tell = tell
        self.is_stopped = False

    async def start_room_composite(self, *_: Any) -> Egress:
        """As `EgressApi` has it."""
        self._tell(EgressEvent("egress_ended", await self.look("EG_1")))
        return Egress("EG_1", EgressState.STARTING)

    async def look(self, egress_id: str) -> Egress:
        """As `EgressApi` has it."""
        return Egress(egress_id, EgressState.FAILED, "out of memory")

    async def active(self, room: str) -> list[Egress]:
        """None was left behind."""
        return []

    async def stop(self, egress_id: str) -> None:
        """As `EgressApi` has it."""
        self.is_stopped = True


async def test_what_is_told_before_the_order_is_answered_is_heard(
    virtual_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is looked at at once, not when it would have been."""
    takes: list[Callable[[EgressEvent], None]] = []

    @asynccontextmanager
    async def receiving(host: str, port: int, hooks: Any, take: Callable[[EgressEvent], None]) -> AsyncIterator[int]:
        takes.append(take)
        yield port

    monkeypatch.setattr(room_egress, "receiving", receiving)
    monkeypatch.setattr(room_egress, "pull", lambda *_, **__: asyncio.Event().wait())
    settings = EgressSettings(ingest_url="rtmp://in/live", webhook_url="http://bot:7/", webhook_listen="127.0.0.1:7")
    invitation = Invitation("wss://sfu", "bot-1", "Earshot", settings=LiveKitSettings(egress=settings))
    egress = RoomEgress(invitation, "standup", cast(Budget, SimpleNamespace(left_behind=())), lambda: 0.0, print)
    async with AsyncExitStack() as stack:
        await egress.listen(stack)
        server = Server(takes[0])
        monkeypatch.setattr(egress, "_api", server)
        ordered = asyncio.get_running_loop().time()
        with pytest.raises(EgressError, match="out of memory"):
            await egress.attend(asyncio.Event(), print)
        assert asyncio.get_running_loop().time() - ordered < LOOK_INTERVAL_S
    assert server.is_stopped
