"""The meeting and what is written in it: chat at once, captions where no sound comes."""

from __future__ import annotations

from dataclasses import replace

from bot.core import effects as fx
from bot.core import events as ev
from bot.core import requests as rq
from common.contracts.segments import Source
from tests.unit.bot.core.test_meeting import ANA, IN, core, sound

CHAT = ev.ChatReceived("ana", "Ana", "hi")
SHOWN = ev.CaptionHeard(None, "Ana", "hi", 9.0, 10.0)


def test_what_is_written_inside_is_published() -> None:
    """Chat at once; not outside the meeting, nor while the bot is asked not to listen. It is in no representation."""
    meeting = core((0.0, ev.LobbyEntered()))
    meeting.receive(CHAT, 1)
    assert meeting.effects() == []
    meeting = core(IN)
    meeting.receive(CHAT, 1)
    assert meeting.effects() == [fx.PublishText(Source.CHAT, "ana", "Ana", "hi", 1, 1)]
    meeting = core(IN, (1.0, ev.CommandReceived("pause", rq.Pause(True))))
    meeting.receive(CHAT, 2)
    assert meeting.effects() == []
    assert not any("hi" in repr(one) for one in (CHAT, SHOWN, fx.PublishText(Source.CHAT, "a", "A", "hi", 1, 1)))


def test_captions_stand_in_where_no_sound_comes() -> None:
    """With sound nothing is published of them; without, what was said since there was none, as soon as that is said."""
    meeting = core(IN, (1.0, ANA), (1.0, ev.TrackOpened("t", "ana")), (2.0, sound()), (5.0, SHOWN))
    meeting.receive(SHOWN, 9.9)
    assert meeting.effects() == []
    meeting.tick(10)
    published = [effect for effect in meeting.effects() if isinstance(effect, fx.PublishText)]
    assert published == [fx.PublishText(Source.CAPTIONS, "unknown", "Ana", "hi", 9.0, 10.0)] * 2
    meeting.receive(sound(), 27)
    meeting.receive(replace(SHOWN, start=29.0, end=30.0), 30)
    meeting.tick(31)
    assert not [effect for effect in meeting.effects() if isinstance(effect, fx.PublishText)]
