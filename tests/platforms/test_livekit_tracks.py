"""Tracks of a LiveKit room that do not simply come, against a real livekit-server with real publishers."""

from __future__ import annotations

import pytest
from livekit import rtc

from bot.core.events import TrackOpened
from bot.platforms.livekit import LiveKit, subscriptions
from rehearsal.livekit.server import LiveKitServer
from tests.platforms.contract import attending
from tests.support.servers.livekit import directed_room

pytestmark = [pytest.mark.livekit, pytest.mark.slow]


async def test_track_that_may_not_be_heard(livekit: LiveKitServer) -> None:
    """Who forbids others to subscribe has a track that we know of and do not hear; allowed later, it is heard."""
    async with directed_room(livekit) as room:
        await room.join("ana", "Ana", publishes=False)
        local = room.guests["ana"].room.local_participant
        local.set_track_subscription_permissions(allow_all_participants=False, participant_permissions=[])
        track = await room.publish("ana", 440)
        async with attending(LiveKit(), room.invitation()) as bot:
            await bot.listener.until(lambda: bot.listener.of(TrackOpened) == [TrackOpened(track, "ana")], "the track")
            assert not bot.listener.frames
            local.set_track_subscription_permissions(allow_all_participants=True, participant_permissions=[])
            await bot.hears("ana", 440)
            assert bot.listener.count(TrackOpened) == 1


async def test_subscription_that_fails(livekit: LiveKitServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that get lost are made again although nothing happens in the room."""
    assert subscriptions.FIRST_PAUSE_S <= 2
    really, lost = rtc.RemoteTrackPublication.set_subscribed, 0

    def lose(publication: rtc.RemoteTrackPublication, subscribed: bool) -> None:
        nonlocal lost
        if lost < 2:
            lost += 1
        else:
            really(publication, subscribed)

    monkeypatch.setattr(rtc.RemoteTrackPublication, "set_subscribed", lose)
    async with directed_room(livekit) as room:
        await room.join("ana", "Ana")
        await room.tone("ana", 440)
        async with attending(LiveKit(), room.invitation()) as bot:
            await bot.hears("ana", 440)
            assert lost == 2
            assert bot.listener.count(TrackOpened) == 1
