"""WHEP: a front of the tests' on a real mediasoup worker, and a real server on a real Janus, with real publishers."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from pydantic import SecretStr

from bot.core import events as ev
from bot.core.orders import Resubscribe
from bot.platforms.base import Invitation
from bot.platforms.whep import Whep
from common.contracts.status import SubCode
from common.errors import EarshotError
from tests.platforms.contract import LEAVE_WITHIN, PlatformContract, Room, attending
from tests.platforms.sfu_contract import notices
from tests.support.servers import janus, mediasoup, whep
from tests.support.servers.singing import SecretSinger
from tests.support.servers.whep_front import Front, directed_stream, invited
from tests.support.tools import require

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]
HERMETIC = "WHEP tests need a network of their own: tools/hermetic pytest …"


@pytest.fixture(scope="module")
def sfu() -> Iterator[mediasoup.MediasoupServer]:
    """What is behind the front."""
    require(os.environ.get("EARSHOT_HERMETIC"), HERMETIC)
    require(mediasoup.worker(), mediasoup.MISSING)
    with mediasoup.mediasoup_server() as server:
        yield server


@pytest.fixture(scope="module")
def server() -> Iterator[whep.WhepServer]:
    """Meetecho's, on Janus."""
    require(os.environ.get("EARSHOT_HERMETIC"), HERMETIC)
    require(janus.find_janus(), janus.MISSING)
    require(whep.is_installed(), whep.MISSING)
    with whep.whep_server() as running:
        yield running


def _says_nothing(what: str) -> None:
    pytest.skip(f"WHEP says nothing of {what}: one stream, and nobody is named")


class TestWhep(PlatformContract):
    """The contract suite, as far as a protocol goes that carries one stream and no news."""

    platform = "whep"
    refusal = SubCode.TOKEN_REFUSED
    server: mediasoup.MediasoupServer

    @pytest.fixture(autouse=True)
    def _server(self, sfu: mediasoup.MediasoupServer) -> None:
        self.server = sfu

    def names(self, **people: str) -> dict[str, str]:
        """The name is the setting's."""
        return {who: who for who in people}

    def room(self, lobby: bool = False) -> AbstractAsyncContextManager[Room]:
        return directed_stream(self.server)

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[Invitation]:
        async with Front(None).serving("127.0.0.1") as front:
            front.scripted.append(("401 Unauthorized", {"WWW-Authenticate": "Bearer"}, ""))
            yield invited(f"http://127.0.0.1:{front.port}/whep/r", bearer_token=SecretStr("let-them-in"))
            assert front.asked[0][2]["authorization"] == "Bearer let-them-in"

    def unreachable(self) -> tuple[Invitation, str]:
        return invited(f"http://{mediasoup.ADDRESS}:9/whep"), f"{mediasoup.ADDRESS}:9"

    async def test_empty_room(self) -> None:
        """Nobody publishes yet: waited for, nothing is said, left within the deadline."""
        async with self.room() as room, self.start(room) as bot:
            await asyncio.sleep(0.5)
            assert not bot.listener.events
            assert await bot.leaves() < LEAVE_WITHIN

    async def test_two_speakers_at_once(self) -> None:
        _says_nothing("two people")

    async def test_late_join_and_leave_of_a_participant(self) -> None:
        _says_nothing("who comes and goes beside the publisher")

    async def test_rename(self) -> None:
        _says_nothing("names")

    async def test_mute_and_unmute(self) -> None:
        _says_nothing("mutes")

    async def test_joins_a_muted_participant(self) -> None:
        _says_nothing("mutes")

    async def test_never_sends(self) -> None:
        _says_nothing("others")

    async def test_removed_by_the_host(self) -> None:
        _says_nothing("removals")

    async def test_leave_during_a_network_cut(self) -> None:
        """Leaving does not wait for the connection."""
        async with self.room() as room:
            await room.join("ana", "Ana")
            async with self.start(room) as bot:
                await bot.listener.until(lambda: bot.listener.owner, "a track")
                cut = asyncio.create_task(room.cut(3.0))
                await bot.listener.until(lambda: bot.listener.count(ev.TransportLost), "lost")
                assert await bot.leaves() < LEAVE_WITHIN
                cut.cancel()
                await asyncio.gather(cut, return_exceptions=True)


async def test_a_server_that_offers_itself(server: whep.WhepServer) -> None:
    """406 with an offer, answered by PATCH: heard. The publisher leaves: asked for, and heard again on return."""
    async with janus.janus_handle(server.janus) as host:
        await host.request(request="create", room="r", publishers=20)
        path = await server.make(id="one", plugin="videoroom", room="r", feed="ana", token="let-me-in")
        secret = SecretStr("let-me-in")
        invitation = invited(f"{server.url}{path}", participant="ana", bearer_token=secret, ice_servers=True)
        async with attending(Whep(), invitation) as bot:
            for hertz in (440.0, 1000.0):
                guest = janus.Guest("r", "ana")
                await guest.join(server.janus, "Ana")
                await guest.publish()
                assert guest.singer is not None
                guest.singer.hertz = hertz
                await bot.hears("ana", hertz, 20)
                await guest.leave()
                if hertz == 440.0:  # this server tells nobody: that nothing comes, the bot finds out by itself
                    bot.orders.give(Resubscribe("whep"))
                    await bot.listener.until(lambda: not bot.listener.names, "the publisher has gone", 15)
        kinds = [type(event) for _, event in bot.listener.events]
        assert kinds[:3] == [ev.Admitted, ev.ParticipantJoined, ev.TrackOpened]
        assert kinds[3:7] == [ev.TrackClosed, ev.ParticipantLeft, ev.ParticipantJoined, ev.TrackOpened]


async def test_a_stream_that_is_encrypted_is_said_to_be(server: whep.WhepServer) -> None:
    """WHEP tells nobody: it shows in what is heard, which nothing is until it is encrypted no more."""
    async with janus.directed_room(server.janus) as room:
        await room.join("ana", "Ana", publishes=False)
        singer = await room.guests["ana"].publish(SecretSinger)
        path = await server.make(id="secret", plugin="videoroom", room=room.name, feed="ana")
        async with attending(Whep(), invited(f"{server.url}{path}", participant="ana")) as bot:
            await notices(bot, singer)


SDP = {"Content-Type": "application/sdp"}


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (("403 Forbidden", {}, ""), SubCode.TOKEN_REFUSED, "whep.bearerToken"),
        (("415 Unsupported Media Type", {}, ""), SubCode.JOIN_REFUSED, "415"),
        (("406 Not Acceptable", {}, ""), SubCode.JOIN_REFUSED, "406"),
        (("200 OK", {"Content-Type": "text/html"}, "<html>"), SubCode.ROOM_UNREACHABLE, "no WHEP endpoint"),
        (("201 Created", SDP, "v=nonsense"), SubCode.JOIN_REFUSED, "no Opus stream"),
        (("406 Not Acceptable", SDP, "v=0\r\n"), SubCode.JOIN_REFUSED, "no Opus stream"),
        (("307 Temporary Redirect", {"Location": "http://192.0.2.1/"}, ""), SubCode.JOIN_REFUSED, "whep.redirectHosts"),
        (("307 Temporary Redirect", {"Location": "/whep/r"}, ""), SubCode.MEETING_NOT_FOUND, "notStartedTimeout"),
        (("404 Not Found", {"Retry-After": "0"}, ""), SubCode.MEETING_NOT_FOUND, "notStartedTimeout"),
        (("409 Conflict", {"Retry-After": "soon"}, ""), SubCode.MEETING_NOT_STARTED, "notStartedTimeout"),
        (("503 Service Unavailable", {"Retry-After": "1"}, ""), SubCode.MEETING_NOT_STARTED, "503"),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, tuple) else "",
)
async def test_each_answer_has_its_sub_code(answer: tuple[str, dict[str, str], str], code: SubCode, words: str) -> None:
    """What the endpoint may say instead of a stream; the scripted answers are a fake's. The token is never said."""
    async with Front(None).serving("127.0.0.1") as front:
        front.scripted += [answer] * (1 if answer[0].startswith("307") else 20)
        if answer[0].startswith("307"):
            front.scripted += [("404 Not Found", {}, "")] * 20
        url = f"http://127.0.0.1:{front.port}/whep/r?key=0815"
        invitation = invited(url, bearer_token=SecretStr("let-me-in"), not_started_timeout=300)
        async with attending(Whep(), invitation) as bot:
            with pytest.raises(EarshotError) as failure:
                await bot.ends(10)
    assert failure.value.code is code
    assert words in str(failure.value)
    assert not {"let-me-in", "0815"} & set(str(failure.value).replace("=", " ").split())


async def test_nobody_at_the_port_is_said_to_be_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is refused: the system's word for it, not a library's."""
    monkeypatch.setattr("bot.platforms.whep.attendance.REACH_TIMEOUT_S", 0.1)
    async with attending(Whep(), invited("http://127.0.0.1:9/whep/r")) as bot:
        with pytest.raises(EarshotError, match="Connection refused") as failure:
            await bot.ends(10)
    assert failure.value.code is SubCode.ROOM_UNREACHABLE


async def test_waits_as_long_as_the_endpoint_says(sfu: mediasoup.MediasoupServer) -> None:
    """503 with Retry-After: it asks again after that, not before; through a redirect; and gives the resource back."""
    async with Front(sfu).serving() as front:
        guest = mediasoup.Guest("later", "ana")
        await guest.join(sfu, "Ana")
        await guest.publish(hertz=440.0)
        front.scripted.append(("503 Service Unavailable", {"Retry-After": "1"}, ""))
        front.scripted.append(("308 Permanent Redirect", {"Location": "/elsewhere/later"}, ""))
        asked = time.monotonic()
        url = f"http://{mediasoup.ADDRESS}:{front.port}/whep/later"
        async with attending(Whep(), invited(url)) as bot:
            await bot.hears("", 440)
            assert time.monotonic() - asked > 1.0
            assert bot.listener.of(ev.TrackOpened) == [ev.TrackOpened("whep", None)]
            assert bot.listener.of(ev.PeopleCounted) == [ev.PeopleCounted(1)]
        await guest.leave()
        assert [method for method, _, _ in front.asked] == ["POST", "POST", "POST", "DELETE"]
        assert front.asked[2][1] == "/elsewhere/later"


async def test_is_tried_out_and_gives_back_what_was_made(sfu: mediasoup.MediasoupServer) -> None:
    """A stream, none yet, a token that is refused, nobody: told apart, and the resource is deleted."""
    async with Front(sfu).serving() as front:
        guest = mediasoup.Guest("tried", "ana")
        await guest.join(sfu, "Ana")
        await guest.publish()
        base = f"http://{mediasoup.ADDRESS}:{front.port}/whep"
        assert "given back" in str(await Whep().try_out(invited(f"{base}/tried")))
        assert [(method, path) for method, path, _ in front.asked] == [
            ("POST", "/whep/tried"),
            ("DELETE", "/resource/1"),
        ]
        await guest.leave()
        front.scripted.append(("403 Forbidden", {}, ""))
        front.scripted.append(("201 Created", SDP, "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n"))
        for url, code in (
            (f"{base}/guarded", SubCode.TOKEN_REFUSED),
            (f"{base}/picture", SubCode.JOIN_REFUSED),
            (f"{base}/nobody", SubCode.MEETING_NOT_STARTED),
            ("http://127.0.0.1:9/whep/r", SubCode.ROOM_UNREACHABLE),
        ):
            with pytest.raises(EarshotError) as failure:
                await Whep().try_out(invited(url))
            assert failure.value.code is code
