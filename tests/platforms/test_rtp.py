"""Plain RTP against senders on real sockets: the contract, and what only RTP has."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import numpy as np
import pytest

from bot.platforms.base import Invitation
from bot.platforms.rtp.settings import RtpSettings
from common.contracts.status import SubCode
from tests.platforms.contract import PlatformContract, Room
from tests.support.servers.rtp_sender import RtpSender, free_port


def invited(port: int, settings: RtpSettings | None = None, host: str = "127.0.0.1") -> Invitation:
    """An invitation to listen."""
    return Invitation(f"rtp://{host}:{port}", "bot-1", "Earshot", settings=settings)


class RtpRoom:
    """People who send to one port, each an SSRC that says by RTCP who it is."""

    def __init__(self) -> None:
        self.port = free_port()
        self._senders: dict[str, RtpSender] = {}

    def invitation(self) -> Invitation:
        """Without any settings: each SSRC is a participant."""
        return invited(self.port)

    async def join(self, who: str, name: str, *, publishes: bool = True) -> None:
        """A new SSRC."""
        self._senders[who] = RtpSender(self.port, cname=who, name=name)
        self._senders[who].start()

    async def tone(self, who: str, hertz: float) -> None:
        """From the next packet on."""
        self._senders[who].hertz = hertz

    async def mute(self, who: str) -> None:
        raise NotImplementedError

    async def unmute(self, who: str) -> None:
        raise NotImplementedError

    async def rename(self, who: str, name: str) -> None:
        """With the next RTCP."""
        self._senders[who].name = name

    async def leave(self, who: str) -> None:
        """RTCP says goodbye."""
        sender = self._senders.pop(who)
        await sender.leave()
        sender.close()

    async def admit(self) -> None:
        raise NotImplementedError

    async def cut(self, seconds: float) -> None:
        raise NotImplementedError

    async def remove_bot(self) -> None:
        raise NotImplementedError

    async def end(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Everybody is gone."""
        for sender in self._senders.values():
            sender.close()


@asynccontextmanager
async def rtp_room(lobby: bool = False) -> AsyncIterator[RtpRoom]:
    """A port that nobody listens to yet."""
    room = RtpRoom()
    try:
        yield room
    finally:
        room.close()


class TestRtp(PlatformContract):
    """The contract suite, as far as there is something of that kind in plain RTP."""

    platform = "rtp"
    refusal = SubCode.PORT_TAKEN

    def room(self, lobby: bool = False) -> AbstractAsyncContextManager[Room]:
        return rtp_room(lobby)

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[Invitation]:
        """The port is somebody else's."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            yield invited(other.getsockname()[1])

    def unreachable(self) -> tuple[Invitation, str]:
        """An address that is not this machine's."""
        return invited(5004, host="192.0.2.1"), "192.0.2.1:5004"

    async def test_never_sends(self) -> None:
        """A track of digital zeros, next to a speaker who is heard. (Who sends nothing is not there at all.)"""
        async with self.room() as room:
            await room.join("zoe", "Zoe")
            await room.join("ana", "Ana")
            await room.tone("ana", 440)
            async with self.start(room) as bot:
                await bot.hears("ana", 440)
                assert self.owns(bot, "ana", "zoe")
                zeros = bot.listener.heard("zoe")
                assert zeros.size == 0 or np.abs(zeros).max() <= 8

    @pytest.mark.skip("plain RTP knows no mute: packets stop, which the health says")
    async def test_mute_and_unmute(self) -> None: ...

    @pytest.mark.skip("plain RTP knows no mute: packets stop, which the health says")
    async def test_joins_a_muted_participant(self) -> None: ...

    @pytest.mark.skip("plain RTP has no connection that could break: packets stop, which the health says")
    async def test_network_cut(self) -> None: ...

    @pytest.mark.skip("plain RTP has no connection that could break")
    async def test_leave_during_a_network_cut(self) -> None: ...

    @pytest.mark.skip("nobody can remove who only listens")
    async def test_removed_by_the_host(self) -> None: ...

    @pytest.mark.skip("RTCP says that somebody has gone, never that a meeting is over: leave rules decide")
    async def test_meeting_ended(self) -> None: ...
