"""What becomes of an egress where the bot leaves. Its server, its stream and the leases are fakes; time is virtual."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from pydantic import SecretStr

from bot.core.router import CROWD_S
from bot.platforms.base import Invitation
from bot.platforms.livekit import roads, room_egress
from bot.platforms.livekit.egress import Egress, EgressError, EgressState
from bot.platforms.livekit.settings import EgressSettings, LiveKitSettings
from tests.support.fakes.listener import RecordingListener


class Server:
    """LiveKit's egress API."""

    def __init__(self, start_s: float, stop_s: float) -> None:
        self._start_s, self._stop_s = start_s, stop_s
        self.asked: list[str] = []
        self.running: list[str] = []

    async def close(self) -> None: ...

    async def start_room_composite(self, room: str, url: str, mark: str, webhooks: Sequence[str] = ()) -> Egress:
        """It is begun whether anybody waits for the answer or not."""
        self.asked.append("start")
        asyncio.get_running_loop().call_later(self._start_s / 2, self.running.append, "EG_1")
        await asyncio.sleep(self._start_s)
        self.asked.append("started")
        return Egress("EG_1", EgressState.STARTING)

    async def active(self, room: str) -> list[Egress]:
        """None that is known."""
        return []

    async def look(self, egress_id: str) -> Egress:
        """It goes on."""
        return Egress(egress_id, EgressState.ACTIVE)

    async def stop(self, egress_id: str) -> None:
        """Takes its time."""
        self.asked.append("stop")
        await asyncio.sleep(self._stop_s)
        if egress_id not in self.running:
            raise EgressError("there is none", "not_found")
        self.running.remove(egress_id)


class Lease:
    """One that can be had."""

    def __init__(self) -> None:
        self.used_for, self.left_behind = "", ()
        self.given_back: list[str] = []

    async def ask(self) -> bool:
        """At once."""
        return True

    async def give_back(self) -> None:
        """Remembers for what it still was."""
        self.given_back.append(self.used_for)


async def left(server: Server, at: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Lease, float]:
    """Leaves a room while the server is at this; the lease then, and how long leaving took."""

    async def silent(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(room_egress, "EgressApi", lambda *_: server)
    monkeypatch.setattr(room_egress, "pull", silent)
    settings = LiveKitSettings(
        room="standup",
        api_key="key",
        api_secret=SecretStr("s" * 32),
        egress=EgressSettings(ingest_url="rtmp://198.51.100.1/live", secret=SecretStr("s" * 32)),
    )
    invitation = Invitation("ws://198.51.100.1:7880", "bot-1", "Earshot", settings=settings)
    lease, leaving, loop = Lease(), asyncio.Event(), asyncio.get_running_loop()
    both = roads.Roads(invitation, "standup", RecordingListener(), lambda: None, lease, loop.time)
    running = asyncio.create_task(both.run(leaving))
    await asyncio.sleep(0)
    both.people(3, encrypted=False, muted=False)
    async with asyncio.timeout(CROWD_S + 60):
        while at not in server.asked:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    began = loop.time()
    leaving.set()
    await running
    took = loop.time() - began
    await asyncio.sleep(60)
    return lease, took


@pytest.mark.parametrize("at", ["start", "started"])
async def test_no_egress_is_left_behind(at: str, virtual_time: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one that is being pushed, nor one that the server is just starting when we leave."""
    server = Server(start_s=0.4, stop_s=0.2)
    lease, took = await left(server, at, monkeypatch)
    assert server.running == []
    assert lease.given_back[-1] == ""
    assert took < 2.0


async def test_one_that_could_not_be_stopped_is_told_of(virtual_time: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its server does not answer in the time that we have: the lease is given back with the egress's id."""
    server = Server(start_s=0.4, stop_s=30.0)
    lease, took = await left(server, "started", monkeypatch)
    assert lease.given_back[-1] == "EG_1"
    assert took < 2.0
