"""LiveKit against a real livekit-server with real publishers."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from bot.core.errors import EarshotError, SubCode
from bot.core.events import (
    Admitted,
    ParticipantJoined,
    ParticipantKind,
    ParticipantLeft,
    ParticipantRenamed,
    TrackClosed,
    TrackMuted,
    TrackOpened,
    TrackUnmuted,
    TransportBack,
    TransportLost,
)
from bot.rehearsal.livekit_guest import Guest
from bot.rehearsal.livekit_server import LiveKitServer
from tests.support.livekit import Bot, as_host, bot_config, bot_in, new_room, pitch, tone

pytestmark = [pytest.mark.livekit, pytest.mark.slow]


async def test_hears_a_person_on_a_track_of_their_own(livekit: LiveKitServer) -> None:
    """A guest already there is reported with a name and a track, and heard at 16 kHz."""
    room, ana = new_room(), Guest("ana", "Ana")
    await ana.join(livekit, room)
    track = await ana.publish()
    async with bot_in(livekit, room) as bot:
        await bot.heard.first(TrackOpened)
        await ana.speak(tone(440, 0.6))
        await bot.heard.until(lambda: len(bot.heard.loud(track)) >= 8, "the tone")
    await ana.leave()
    assert bot.heard.events[:3] == [Admitted(), ParticipantJoined("ana", "Ana"), TrackOpened(track, "ana")]
    assert pitch(np.concatenate([frame.pcm for frame in bot.heard.loud(track)][2:6])) == pytest.approx(440, abs=10)
    assert await bot.end() is SubCode.LEFT_BY_COMMAND
