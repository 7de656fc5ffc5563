"""mediasoup against the example application on a real worker, with real publishers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve

from bot.core import events as ev
from bot.platforms.base import Invitation
from bot.platforms.mediasoup import Mediasoup
from common.contracts.status import SubCode
from common.errors import EarshotError
from tests.platforms.contract import Room, attending
from tests.platforms.sfu_contract import SfuContract
from tests.support.servers.mediasoup import (
    ADDRESS,
    MISSING,
    MediasoupServer,
    connected,
    directed_room,
    invited,
    mediasoup_server,
    worker,
)
from tests.support.tools import require

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


@pytest.fixture(scope="module", autouse=True)
def _needs() -> None:
    require(os.environ.get("EARSHOT_HERMETIC"), "mediasoup tests need a network of their own: tools/hermetic pytest …")
    require(worker(), MISSING)


@pytest.fixture(scope="module")
def mediasoup() -> Iterator[MediasoupServer]:
    """The example application on the tests' own network."""
    with mediasoup_server() as server:
        yield server


class TestMediasoup(SfuContract):
    """The contract suite, in rooms of the example application."""

    platform = "mediasoup"
    refusal = SubCode.TOKEN_REFUSED
    server: MediasoupServer

    @pytest.fixture(autouse=True)
    def _server(self, mediasoup: MediasoupServer) -> None:
        self.server = mediasoup

    def room(self, lobby: bool = False) -> AbstractAsyncContextManager[Room]:
        return directed_room(self.server)

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[Invitation]:
        with mediasoup_server(ACCESS_TOKEN="let-me-in") as guarded:
            yield invited(guarded.url, "r", "let-them-in")

    def unreachable(self) -> tuple[Invitation, str]:
        return invited(f"ws://{ADDRESS}:9", "r"), f"{ADDRESS}:9"


async def test_each_refusal_has_its_sub_code_and_the_rest_is_heard() -> None:
    """A room that is not there, one that is full, and the token that opens it."""
    with mediasoup_server(ROOMS="one", MAX_PEERS="1", ACCESS_TOKEN="let-me-in") as server:
        async with attending(Mediasoup(), invited(server.url, "one", "let-me-in")) as first:
            await first.listener.until(lambda: first.listener.admitted, "let in with the token")
            for room, code in (("two", SubCode.MEETING_NOT_FOUND), ("one", SubCode.MEETING_FULL)):
                second = invited(server.url, room, "let-me-in")
                settings = second.settings.model_copy(update={"identity": "bot-2"})
                with pytest.raises(EarshotError) as failure:
                    async with attending(
                        Mediasoup(), Invitation(second.meeting_url, "bot-2", "B", settings=settings)
                    ) as bot:
                        await bot.ends(10)
                assert failure.value.code is code


async def test_somebody_else_with_our_identity(mediasoup: MediasoupServer) -> None:
    """Who joins under our peer id takes our place: DUPLICATE_IDENTITY, and we do not come back."""
    async with directed_room(mediasoup) as room, attending(Mediasoup(), room.invitation()) as bot:
        await bot.listener.until(lambda: bot.listener.admitted, "admitted")
        await room.join("bot-1", "Impostor", publishes=False)
        assert await bot.ends() is SubCode.DUPLICATE_IDENTITY


async def test_killed_and_started_again() -> None:
    """kill -9 while somebody speaks, and back on the same port: one loss, one return, heard again."""
    with mediasoup_server() as server:
        port = int(server.url.rpartition(":")[2])
        async with directed_room(server) as room, attending(Mediasoup(), invited(server.url, room.name)) as bot:
            await room.join("ana", "Ana")
            await room.tone("ana", 440)
            await bot.hears("ana", 440)
            server.kill()
            await bot.listener.until(lambda: bot.listener.count(ev.TransportLost), "lost")
            await room.leave("ana")
            with mediasoup_server(port=port) as again:
                room.server = again
                await room.join("ana", "Ana")
                await room.tone("ana", 1000)
                await bot.hears("ana", 1000, 15)
                assert (bot.listener.count(ev.TransportLost), bot.listener.count(ev.TransportBack)) == (1, 1)
                await bot.leaves()


async def test_who_joins_at_the_same_time_is_told_of(mediasoup: MediasoupServer) -> None:
    """A room that is still being made for both: who is not in the answer is told of behind it, not before."""

    async def join(room: str) -> None:
        async with connected(mediasoup) as ana, connected(mediasoup) as bot:
            before: list[int] = []
            asking = ana.ask("joinRoom", room=room, peerId="ana")
            also = bot.ask("joinRoom", lambda _: before.append(bot.told.qsize()), room=room, peerId="bot")
            joined = (await asyncio.gather(also, asking))[0]
            assert before == [0]
            if not joined["peers"]:
                message = await asyncio.wait_for(bot.told.get(), 10)
                assert (message["type"], message["data"]["peerId"]) == ("peerJoined", "ana")

    for attempt in range(10):
        await join(f"together-{attempt}")


async def test_is_tried_out_without_being_seen(mediasoup: MediasoupServer) -> None:
    """An application that speaks the protocol, one that speaks another, nobody: told apart, and nobody sees us ask."""
    async with directed_room(mediasoup) as room:
        await room.join("ana", "Ana", publishes=False)
        assert "speaks our protocol" in str(await Mediasoup().try_out(room.invitation()))
        await room.guests["ana"].connection.ask("getRouterRtpCapabilities")  # behind whatever was told before
        assert room.guests["ana"].connection.told.empty()

    async def other(websocket: ServerConnection) -> None:
        async for _ in websocket:
            await websocket.send('{"id": 1, "type": "response", "result": {}}')

    async with serve(other, ADDRESS, 0) as elsewhere:
        port = next(iter(elsewhere.sockets)).getsockname()[1]
        for url, words in (
            (f"ws://{ADDRESS}:{port}", "does not speak the protocol"),
            (f"ws://{ADDRESS}:9", "no answer"),
        ):
            with pytest.raises(EarshotError, match=words) as failure:
                await Mediasoup().try_out(invited(url, "r"))
            assert failure.value.code is SubCode.ROOM_UNREACHABLE
