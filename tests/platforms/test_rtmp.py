"""The RTMP platform against a real nginx-rtmp, into which ffmpeg publishes what is said in a room."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
from numpy.typing import NDArray
from pydantic import SecretStr

from bot.core import events as ev
from bot.platforms import load
from bot.platforms.base import Invitation
from bot.platforms.rtmp.settings import RtmpSettings
from common.contracts.status import SubCode
from tests.platforms.contract import Room, attending
from tests.platforms.one_track_contract import OneTrackContract, is_quiet, peaks
from tests.support.servers.proxies import TcpProxy
from tests.support.servers.rtmp import FRAME_SAMPLES, RATE, Publisher, RtmpServer, rtmp_server, sine

RETURN_TIMEOUT_MS = 1500


def invited(url: str, secret: str) -> Invitation:
    """An invitation to play a stream, with the server's secret."""
    return Invitation(
        url,
        "bot-1",
        "Earshot",
        settings=RtmpSettings(secret=SecretStr(secret), publisher_return_timeout=RETURN_TIMEOUT_MS),
    )


class CompositeRoom:
    """A room whose sound, all of it in one, is published from when the first one has joined."""

    def __init__(self, server: RtmpServer, proxy: TcpProxy) -> None:
        self._server, self._proxy = server, proxy
        self._tones: dict[str, float] = {}
        self._muted: set[str] = set()
        self._publisher = Publisher(server.url("standup", "publish"), self._sound)

    async def prepare(self) -> None:
        """Its publisher is ready."""
        await self._publisher.prepare()

    def invitation(self) -> Invitation:
        """Through the proxy, so that the bot's connection alone can be cut."""
        return invited(self._server.url("standup", port=self._proxy.port), self._server.secret)

    def _sound(self, index: int) -> NDArray[np.int16]:
        at = np.arange(index, index + FRAME_SAMPLES) / RATE
        heard = [8000 * np.sin(2 * np.pi * hertz * at) for who, hertz in self._tones.items() if who not in self._muted]
        mixed: NDArray[np.int16] = np.sum([np.zeros(FRAME_SAMPLES), *heard], axis=0).astype(np.int16)
        return mixed

    async def join(self, who: str, name: str, *, publishes: bool = True) -> None:
        """The first one begins the publication."""
        self._publisher.begin()

    async def tone(self, who: str, hertz: float) -> None:
        """In the mix from now on."""
        self._tones[who] = hertz

    async def mute(self, who: str) -> None:
        """Not in the mix."""
        self._muted.add(who)

    async def unmute(self, who: str) -> None:
        """In the mix again."""
        self._muted.discard(who)

    async def rename(self, who: str, name: str) -> None:
        """Nobody hears of it."""

    async def leave(self, who: str) -> None:
        """The publication goes on."""
        self._tones.pop(who, None)

    async def admit(self) -> None:
        """There is no lobby."""

    async def cut(self, seconds: float) -> None:
        """The bot's connection alone; what is published goes on."""
        self._proxy.lead_to("127.0.0.1", 1)
        await asyncio.sleep(seconds)
        self._proxy.lead_to("127.0.0.1", self._server.port)

    async def remove_bot(self) -> None:
        """The server has another secret, and the bot's connection ends."""
        await self._server.change_secret()
        self._proxy.lead_to("127.0.0.1", self._server.port)

    async def end(self) -> None:
        """The publisher ends."""
        await self._publisher.stop()

    async def close(self) -> None:
        """Nothing is left."""
        await self._publisher.kill()


class TestRtmp(OneTrackContract):
    """The contract suite; people are in one mix, and nobody says who they are."""

    platform = "rtmp"
    refusal = SubCode.TOKEN_REFUSED

    def names(self, **people: str) -> dict[str, str]:
        """Nobody has one."""
        return {}

    @asynccontextmanager
    async def room(self, lobby: bool = False) -> AsyncIterator[Room]:
        """A server of its own."""
        async with rtmp_server() as server, TcpProxy("127.0.0.1", server.port) as proxy:
            room = CompositeRoom(server, proxy)
            await room.prepare()
            try:
                yield room
            finally:
                await room.close()

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[Invitation]:
        """A key that was made with another secret."""
        async with rtmp_server() as server:
            yield invited(server.url("standup"), "another secret")

    def unreachable(self) -> tuple[Invitation, str]:
        """Nothing listens on port 1."""
        return invited("rtmp://127.0.0.1:1/live/standup", "secret"), "127.0.0.1:1"

    async def test_two_speakers_at_once(self) -> None:
        """Both tones are in the mix."""
        async with self.room() as room:
            await room.join("ana", "Ana")
            await room.tone("ana", 440)
            await room.tone("ben", 1000)
            async with self.start(room) as bot:
                await bot.listener.until(lambda: peaks(bot) == {440, 1000}, "both tones")
                assert self.owns(bot)

    async def test_late_join_and_leave_of_a_participant(self) -> None:
        """The stream is waited for and heard from its beginning; who leaves is not in it any more."""
        async with self.room() as room, self.start(room) as bot:
            await bot.listener.until(lambda: bot.listener.admitted, "admitted before anybody publishes")
            assert bot.listener.owner == {}
            await room.join("ana", "Ana")
            await room.tone("ana", 440)
            await bot.hears("ana", 440)
            await room.tone("ben", 1000)
            await bot.listener.until(lambda: peaks(bot) == {440, 1000}, "both")
            await room.leave("ben")
            await bot.listener.until(lambda: peaks(bot) == {440}, "ana alone")
            assert bot.listener.of(ev.PeopleCounted) == [ev.PeopleCounted(1)]

    async def test_rename(self) -> None:
        """Of people nothing is said."""
        async with self.room() as room:
            await room.join("ana", "Ana")
            await room.tone("ana", 440)
            async with self.start(room) as bot:
                await bot.hears("ana", 440)
                await room.rename("ana", "Dr. Ana")
                told = [type(event) for _, event in bot.listener.events]
                assert told == [ev.Admitted, ev.PeopleCounted, ev.TrackOpened]

    async def test_joins_a_muted_participant(self) -> None:
        """Silence is published, too, and heard as such."""
        async with self.room() as room:
            await room.join("ana", "Ana")
            await room.mute("ana")
            await room.tone("ana", 440)
            async with self.start(room) as bot:
                await bot.listener.until(lambda: is_quiet(bot), "quiet")
                await room.unmute("ana")
                await bot.hears("ana", 440)

    async def test_never_sends(self) -> None:
        """Who makes no sound is not in the mix."""
        async with self.room() as room:
            await room.join("eve", "Eve", publishes=False)
            await room.tone("zoe", 0)
            await room.tone("ana", 440)
            async with self.start(room) as bot:
                await bot.hears("ana", 440)
                assert peaks(bot) == {440}


async def test_a_publisher_that_comes_back_is_heard_where_it_belongs() -> None:
    """Killed, and back in 3 s: one loss, one return, and the meeting's time went on meanwhile."""
    async with rtmp_server() as server:
        first, second = (Publisher(server.url("standup", "publish"), sine(440)) for _ in range(2))
        await first.start()
        await second.prepare()
        invitation = Invitation(server.url("standup", "play"), "bot-1", "Earshot")
        try:
            async with attending(load("rtmp"), invitation) as bot:
                await bot.hears("", 440)
                before = bot.listener.frames[-1][1]
                await first.kill()
                await bot.listener.until(lambda: bot.listener.count(ev.TransportLost), "lost")
                gone = time.monotonic()
                await asyncio.sleep(2.5)
                second.begin()
                await bot.listener.until(lambda: bot.listener.count(ev.TransportBack), "back")
                await bot.hears("", 440)
                back = next(frame for at, frame in bot.listener.frames if at > gone)
                assert 2.5 <= back.arrival - before.arrival < 10
                assert back.source != before.source
                told = [type(event) for _, event in bot.listener.events]
                assert told == [ev.Admitted, ev.PeopleCounted, ev.TrackOpened, ev.TransportLost, ev.TransportBack]
        finally:
            await first.kill()
            await second.kill()
