"""Janus against a real Janus with real publishers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import pytest
from pydantic import SecretStr
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from bot.core import events as ev
from bot.platforms.base import Invitation
from bot.platforms.janus import Janus
from bot.platforms.sfu import attendance as sfu
from common.contracts.status import SubCode
from common.errors import EarshotError
from tests.platforms.contract import Room, attending
from tests.platforms.sfu_contract import SfuContract
from tests.support.servers.janus import (
    ADDRESS,
    MISSING,
    JanusServer,
    directed_room,
    find_janus,
    invited,
    janus_server,
)
from tests.support.tools import require

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


@pytest.fixture(scope="module")
def janus() -> Iterator[JanusServer]:
    """A real Janus on the tests' own network."""
    require(os.environ.get("EARSHOT_HERMETIC"), "Janus tests need a network of their own: tools/hermetic pytest …")
    require(find_janus(), MISSING)
    with janus_server() as server:
        yield server


class TestJanus(SfuContract):
    """The contract suite, in video rooms of a real Janus."""

    platform = "janus"
    refusal = SubCode.PASSCODE_REFUSED
    reuses_tracks = True
    server: JanusServer

    @pytest.fixture(autouse=True)
    def _server(self, janus: JanusServer) -> None:
        janus.stand_up()
        self.server = janus

    def room(self, lobby: bool = False) -> AbstractAsyncContextManager[Room]:
        return directed_room(self.server)

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[Invitation]:
        async with directed_room(self.server, "4711") as room:
            yield replace(room.invitation(), passcode="0815")

    def unreachable(self) -> tuple[Invitation, str]:
        return invited(f"ws://{ADDRESS}:9", "r"), f"{ADDRESS}:9"


async def refused(invitation: Invitation) -> EarshotError:
    """How an attempt ends."""
    async with attending(Janus(), invitation) as bot:
        with pytest.raises(EarshotError) as failure:
            await bot.ends(12)
        assert not bot.listener.events
    return failure.value


async def test_each_refusal_has_its_sub_code_and_names_the_setting(janus: JanusServer) -> None:
    """No such room, no pin, not in the list of tokens, no key of the server: and nothing of the secrets is said."""
    async with directed_room(janus, "4711") as room:
        error = await refused(replace(room.invitation(), passcode=None))
        assert (error.code, "`passcode`" in str(error)) == (SubCode.PASSCODE_REFUSED, True)
        error = await refused(invited(janus.url, "nowhere"))
        assert (error.code, "janus.room" in str(error)) == (SubCode.MEETING_NOT_FOUND, True)
    async with directed_room(janus, allowed=["let-me-in"]) as room:
        error = await refused(room.invitation())
        assert (error.code, "janus.roomToken" in str(error)) == (SubCode.TOKEN_REFUSED, True)
        with_token = room.invitation().settings.model_copy(update={"room_token": SecretStr("let-me-in")})
        async with attending(Janus(), replace(room.invitation(), settings=with_token)) as bot:
            await bot.listener.until(lambda: bot.listener.admitted, "let in with the token")
    with janus_server("open-sesame") as guarded:
        error = await refused(invited(guarded.url, "r"))
        assert (error.code, "janus.apiSecret" in str(error)) == (SubCode.TOKEN_REFUSED, True)
        async with directed_room(guarded) as room, attending(Janus(), room.invitation()) as bot:
            await room.join("ana", "Ana")
            await room.tone("ana", 440)
            await bot.hears("ana", 440)


async def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection and answers nothing: JOIN_TIMEOUT."""
    monkeypatch.setattr(sfu, "JOIN_TIMEOUT_S", 0.5)

    async def listen(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serve(listen, "127.0.0.1", 0, subprotocols=[Subprotocol("janus-protocol")]) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        assert (await refused(invited(f"ws://127.0.0.1:{port}", "r"))).code is SubCode.JOIN_TIMEOUT


@pytest.mark.parametrize(
    "subprotocols", [None, ["janus-protocol"]], ids=["another protocol", "its answers are garbage"]
)
async def test_what_is_no_janus_is_said_to_be_none(subprotocols: list[str] | None) -> None:
    """A websocket server that is something else: ROOM_UNREACHABLE with its address, in seconds."""

    async def babble(connection: ServerConnection) -> None:
        async for _ in connection:
            await connection.send("not even JSON")

    async with serve(babble, "127.0.0.1", 0, subprotocols=subprotocols) as server:  # type: ignore[arg-type]
        port = next(iter(server.sockets)).getsockname()[1]
        error = await refused(invited(f"ws://127.0.0.1:{port}", "r"))
    assert error.code is SubCode.ROOM_UNREACHABLE
    assert f"127.0.0.1:{port}" in str(error)
    assert ("did not let us speak" if subprotocols else "is no Janus") in str(error)


async def test_nobody_at_the_port_is_said_to_be_that() -> None:
    """A connection that is refused: the system's word for it, not that nothing came within the time."""
    error = await refused(invited("ws://127.0.0.1:9", "r"))
    assert error.code is SubCode.ROOM_UNREACHABLE
    assert "Connection refused" in str(error)


async def test_another_codec_is_said_and_not_heard(janus: JanusServer, capsys: pytest.CaptureFixture[str]) -> None:
    """A room that negotiates G.711: the track is there, a line in the log says why nothing is heard."""
    async with directed_room(janus, audiocodec="pcmu") as room, attending(Janus(), room.invitation()) as bot:
        await room.join("ana", "Ana")
        await bot.listener.until(lambda: bot.listener.owner, "the track")
        await asyncio.sleep(0.5)
        assert not bot.listener.frames
    assert "track_is_not_opus" in capsys.readouterr().out


async def test_killed_and_started_again(janus: JanusServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9 while somebody speaks, and back with the room: one loss, one return, heard again; without it: the end."""
    monkeypatch.setattr(sfu, "NO_ROOM_TIMEOUT_S", 3.0)
    with janus_server() as server:
        async with directed_room(server) as room, attending(Janus(), invited(server.url, room.name)) as bot:
            await room.join("ana", "Ana")
            await room.tone("ana", 440)
            await bot.hears("ana", 440)
            server.kill()
            await bot.listener.until(lambda: bot.listener.count(ev.TransportLost), "lost")
            await room.leave("ana")
            server.start()
            async with directed_room(server, name=room.name) as fresh:
                await fresh.join("ana", "Ana")
                await fresh.tone("ana", 1000)
                await bot.hears("ana", 1000, 15)
                assert (bot.listener.count(ev.TransportLost), bot.listener.count(ev.TransportBack)) == (1, 1)
                server.kill()
            server.start()
            assert await bot.ends(15) is SubCode.MEETING_ENDED
            server.kill()


async def test_is_tried_out_without_being_seen(janus: JanusServer) -> None:
    """A room that is there, one that is not, a server that wants a key, nobody: told apart, and nobody sees us ask."""
    async with directed_room(janus) as room:
        await room.join("ana", "Ana", publishes=False)
        handle = room.guests["ana"].handle
        assert "is there" in str(await Janus().try_out(room.invitation()))
        people = await handle.request(request="listparticipants", room=room.name)  # behind whatever was told before
        assert [person["display"] for person in people["participants"]] == ["Ana"]
        assert {handle.told.get_nowait()["janus"] for _ in range(handle.told.qsize())} <= {"ack"}
    for invitation, code in (
        (invited(janus.url, "nowhere"), SubCode.MEETING_NOT_FOUND),
        (invited(f"ws://{ADDRESS}:9", "r"), SubCode.ROOM_UNREACHABLE),
    ):
        with pytest.raises(EarshotError) as failure:
            await Janus().try_out(invitation)
        assert failure.value.code is code
    with janus_server("key") as guarded, pytest.raises(EarshotError, match=r"janus\.apiSecret"):
        await Janus().try_out(invited(guarded.url, "r"))
