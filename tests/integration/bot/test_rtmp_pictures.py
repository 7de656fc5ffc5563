"""The RTMP platform and publishers that send a picture while their microphone is off; the server is a fake."""

from __future__ import annotations

import itertools
import time

import pytest

from bot.core import events as ev
from bot.drivers.rtmp import pulling
from bot.platforms import load
from bot.platforms.base import Invitation
from bot.platforms.rtmp.settings import RtmpSettings
from tests.platforms.contract import attending
from tests.support.servers.scripted_rtmp import VIDEO, Connection, Tag, scripted_rtmp, sounding_tags

pytestmark = pytest.mark.slow
PICTURE = [Tag(VIDEO, at, b"\x22" + bytes(500)) for at in range(0, 400, 40)]


async def test_a_publisher_whose_microphone_is_off_has_not_ended_the_meeting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture goes on without any sound, for longer than a publisher's return is waited for: the room is not lost,
    and what is said then is heard."""
    monkeypatch.setattr(pulling, "READ_TIMEOUT_S", 1.0)
    silent_until = time.monotonic() + 6
    connections = itertools.count()

    async def play(connection: Connection) -> None:
        await connection.begin()
        if next(connections) == 0:
            await connection.send(sounding_tags("aac", 48_000, "mono", 440, 0.5))
        while time.monotonic() < silent_until:
            await connection.send(PICTURE)
        await connection.send(sounding_tags("aac", 48_000, "mono", 1000, 5.0))

    settings = RtmpSettings(publisher_return_timeout=1500)
    async with (
        scripted_rtmp(play) as url,
        attending(load("rtmp"), Invitation(url, "bot-1", "Earshot", settings=settings)) as bot,
    ):
        await bot.hears("composite", 440)
        await bot.listener.until(lambda: bot.listener.count(ev.TransportBack) > 0, "a room that is there")
        await bot.hears("composite", 1000)
        assert bot.listener.count(ev.TrackOpened) == 1
