"""Contributing sources of Google Meet's streams: whose each piece of sound is, also while the page does not say so."""

from __future__ import annotations

import time

import numpy as np
import pytest

from bot.core import events as ev
from bot.platforms import load
from common.audio.pcm import SAMPLE_RATE
from rehearsal.pages.room import STREAMS, PageRoom
from tests.platforms.contract import attending
from tests.support.fakes.listener import RecordingListener
from tests.support.servers.directed import sine
from tests.support.servers.meeting_pages import page_room

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

VOICES = {"ana": 400, "ben": 1000, "eve": 2000}
"""Who sounds at how many hertz: each frame says by itself whose it is."""


async def test_voices_are_named_where_the_page_is_late_or_says_nothing() -> None:
    """Three people on two streams, by turns on one of them: nobody's name on another's voice, from the first on."""
    async with page_room("google_meet") as directed:
        room = directed.room
        room.streams, room.lag_s = dict.fromkeys(STREAMS[:2], ""), 0.4
        for who in VOICES:
            await directed.join(who, who.title())
        async with attending(load("google_meet"), directed.invitation(), 40.0) as bot:
            listener = bot.listener
            await listener.until(lambda: listener.names.keys() == VOICES.keys(), "everybody")
            while not {event.participant_id for event in listener.of(ev.TrackOpened)} >= VOICES.keys():
                for who in VOICES:  # as often as the test's timeout allows
                    await speak(room, listener, who, then=1.4)
            room.indicates = False
            taught = time.monotonic()
            for who in ("ana", "ben", "eve", "ben"):  # at once one after the other, on one stream
                await speak(room, listener, who, then=0.5)
            await speak(room, listener, "ana", "eve", then=1.4)
            room.indicates, room.lag_s = True, 1.7
            for who in ("ana", "ben", "eve"):
                await speak(room, listener, who, then=0.5)
    heard = voices(listener)
    assert [(who, owner) for _, who, owner in heard if owner not in (None, who)] == []
    for who in VOICES:
        named = [owner is not None for at, voice, owner in heard if voice == who and at >= taught]
        assert len(named) > 100, who  # 2 s
        assert np.mean(named) > 0.95, who


async def speak(room: PageRoom, listener: RecordingListener, *who: str, then: float) -> None:
    """They speak, all at once, and then nobody does for so many seconds."""
    rows = len(room.truth) + len(who)
    for one in who:
        room.speak(one, sine(VOICES[one], 1.5))
    await listener.until(lambda: len(room.truth) == rows, f"{who} have spoken")
    over = time.monotonic()
    await listener.until(lambda: time.monotonic() > over + then, "a pause")


def voices(listener: RecordingListener) -> list[tuple[float, str, str | None]]:
    """Each frame that is a tone all through: when it came, whose voice is in it, whose its track was said to be."""
    found, owners, events = [], dict[str, str | None](), list(listener.events)
    for at, frame in listener.frames:
        while events and events[0][0] <= at:
            event = events.pop(0)[1]
            if isinstance(event, ev.TrackOpened):
                owners[event.track_id] = event.participant_id
        if all(np.abs(part).max() > 2000 for part in np.array_split(frame.pcm, 8)):
            spectrum = np.abs(np.fft.rfft(frame.pcm * np.hanning(frame.pcm.size)))
            peak = float(spectrum.argmax()) * SAMPLE_RATE / frame.pcm.size
            who = min(VOICES, key=lambda one: abs(VOICES[one] - peak))
            found.append((at, who, owners[frame.track_id]))
    return found
