"""The attendance of a page that is scripted data, without Chromium: what is said of whose words they are."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from bot.audio.frame import AudioFrame
from bot.core import events as ev
from bot.drivers.browser.page import CaptureListener, MeetingPage, TrackInfo
from bot.platforms import load
from bot.platforms.orders import Orders
from bot.platforms.pages import PagePlatform, attendance
from common.contracts.status import SubCode
from tests.support.fakes.listener import RecordingListener
from tests.support.servers.meeting_pages import invited

pytestmark = pytest.mark.browser  # it needs Playwright


class FakePage:
    """A fake: a page inside a meeting, whose people are the test's."""

    def __init__(self) -> None:
        self.people: list[dict[str, Any]] = []
        self.capture: CaptureListener | None = None
        self.gone: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.page = SimpleNamespace(url="about:blank")

    async def goto(self, url: str) -> None:
        """Is there at once."""

    async def evaluate(self, script: str, argument: Any = None) -> Any:
        """What a look finds."""
        return {"joined": True, "signs": {"inside": "x"}, "people": self.people}

    def speaks(self, *ids: str, **changes: Any) -> None:
        """What the probe in the page says."""
        assert self.capture is not None
        self.capture.signal("speakers", {"ids": list(ids), "at": time.time() * 1000} | changes)


@asynccontextmanager
async def inside(
    platform: str, monkeypatch: pytest.MonkeyPatch, *people: dict[str, Any]
) -> AsyncIterator[tuple[FakePage, RecordingListener]]:
    """In the meeting, with these people, each reported."""
    shown = FakePage()
    shown.people = list(people)

    async def stay(settings: Any, capture: CaptureListener, visit: Any, lost: Any, **more: Any) -> SubCode:
        shown.capture = capture
        return cast(SubCode, await visit(cast(MeetingPage, shown), 0))

    monkeypatch.setattr(attendance, "stay", stay)
    listener, found = RecordingListener(), load(platform)
    assert isinstance(found, PagePlatform)
    invitation = invited(platform, "http://127.0.0.1:1", {"chat": False})
    attending = asyncio.create_task(attendance.attend(found.site(invitation), invitation, listener, Orders()))
    try:
        await listener.until(lambda: len(listener.names) == len(people), "everybody")
        yield shown, listener
    finally:
        attending.cancel()
        await asyncio.gather(attending, return_exceptions=True)
    assert listener.breaches == []


async def test_a_track_that_is_given_to_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """SFUs give a few tracks to whoever speaks: it is closed, and opened again as theirs."""
    ana, ben = {"id": "a", "name": "Ana", "tracks": ["t"]}, {"id": "b", "name": "Ben"}
    async with inside("jitsi", monkeypatch, ana, ben) as (shown, listener):
        assert shown.capture is not None
        shown.capture.track_opened(TrackInfo("1.1.1", "t"))
        await listener.until(lambda: listener.owner.get("1.1.1") == "a", "Ana's")
        shown.people = [ana | {"tracks": []}, ben | {"tracks": ["t"]}]
        await listener.until(lambda: listener.owner.get("1.1.1") == "b", "Ben's")
        assert listener.of(ev.TrackClosed) == [ev.TrackClosed("1.1.1")]
        assert not any(event.by_turns for event in listener.of(ev.TrackOpened))


async def test_somebody_unheard_of_who_speaks_leaves_the_floor_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is shown as speaking and was not reported yet is not nobody: Ana, who speaks too, is not alone."""
    async with inside("teams", monkeypatch, {"name": "Ana"}) as (shown, listener):
        assert shown.capture is not None
        shown.capture.track_opened(TrackInfo("1.1.1", "mix"))
        shown.speaks("Ana")
        shown.speaks("Ana", "Zed")
        shown.speaks("Zed")
        shown.speaks()
        said = [event.participant_ids for event in listener.of(ev.ActiveSpeakers)]
        assert said[0] == {"Ana"}
        assert all(len(ids) > 1 for ids in said[1:3])
        assert said[3] == frozenset()


async def test_a_stream_is_whose_voice_its_packets_carry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it is learnt, from the first that sounds on. Several in one packet, or the page's element, are nobody's."""
    seconds = itertools.count(10.0, 5.0)
    now = next(seconds)
    monkeypatch.setattr("bot.platforms.pages.tracks.time", SimpleNamespace(monotonic=lambda: now, time=time.time))
    people = [{"id": "a", "name": "Ana"}, {"id": "b", "name": "Ben"}]
    async with inside("google_meet", monkeypatch, *people) as (shown, listener):
        assert shown.capture is not None
        capture = shown.capture

        def sounds(track: str, *sources: int, level: int = 8000) -> str | None:
            nonlocal now
            now = next(seconds)
            capture.signal("contributing_sources", {"track_id": track, "sources": list(sources)})
            capture.audio(AudioFrame(track, np.full(320, level, np.int16), round(now * 16_000), 1, now))
            return listener.owner[track]

        for track in ("1.1.1", "1.2.2"):
            capture.track_opened(TrackInfo(track))
        for who, number in (("a", 7), ("b", 8), ("a", 7), ("b", 8)):
            assert sounds("1.1.1", number) is None
            shown.speaks(who)
        assert [sounds("1.1.1", 7), sounds("1.1.1", 8), sounds("1.1.1", 9), sounds("1.2.2", 7)] == ["a", "b", None, "a"]
        assert sounds("1.2.2", 8, level=1) == "a"  # it does not sound
        assert [sounds("1.1.1", 7, 8), sounds("1.1.1", 7)] == [None, None]
        capture.signal("capture", {"track_id": "1.2.2", "way": "element", "why": "?"})
        assert sounds("1.2.2", 7) is None
        opened = {(event.participant_id is None, event.by_turns) for event in listener.of(ev.TrackOpened)}
        assert opened == {(True, False), (False, True)}  # theirs for now
        for track in ("1.1.1", "1.2.2"):
            capture.track_closed(track)
        capture.track_opened(TrackInfo("2.1.1"))
        assert sounds("2.1.1", 7) is None  # of another connection


@pytest.mark.parametrize("at", [10**400, float("inf"), -1, "now", None, True], ids=lambda at: str(at)[:5])
async def test_a_report_from_no_time_is_none(at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever number the page says."""
    async with inside("teams", monkeypatch, {"name": "Ana"}) as (shown, listener):
        assert shown.capture is not None
        shown.capture.track_opened(TrackInfo("1.1.1", "mix"))
        shown.speaks("Ana", at=at)
        assert listener.of(ev.ActiveSpeakers) == []
