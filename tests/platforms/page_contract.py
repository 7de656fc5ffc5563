"""The contract suite for platforms that are web pages, in real Chromium on the rehearsal's page of each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from bot.core import events as ev
from bot.platforms.base import Invitation
from rehearsal.script import Lobby
from tests.platforms.contract import LEAVE_WITHIN, Attending, PlatformContract, Room
from tests.platforms.one_track_contract import OneTrackContract, peaks
from tests.support.servers.meeting_pages import invited, page_room


class PageContract(PlatformContract):
    """A subclass says `platform`."""

    has_lobby = True
    patience = 40.0  # Chromium starts, beside whatever else this machine does

    @pytest.fixture(autouse=True)
    def quick_looks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A form takes five looks."""
        monkeypatch.setattr("bot.platforms.pages.attendance.OUTSIDE_PAUSE_S", 0.1)

    @asynccontextmanager
    async def room(self, lobby: bool = False) -> AsyncIterator[Room]:
        """A room behind the platform's page."""
        async with page_room(self.platform, Lobby(then="ignore") if lobby else None) as room:
            yield room

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[Invitation]:
        """A lobby that refuses."""
        async with page_room(self.platform, Lobby(delay=0.2, then="refuse")) as room:
            yield room.invitation()

    def unreachable(self) -> tuple[Invitation, str]:
        """Nothing listens on port 1."""
        return invited(self.platform, "http://127.0.0.1:1"), "127.0.0.1:1"


class MixContract(OneTrackContract, PageContract):
    """Where everybody is on one track, people are told apart by who the page shows as speaking."""

    names_identify = True
    """Whether the page has no identity but the name: then a new name is somebody new."""

    def names(self, **people: str) -> dict[str, str]:
        """Identity → name."""
        return {name if self.names_identify else who: name for who, name in people.items()}

    async def test_empty_room(self) -> None:
        """A room without people: admitted once, a mix in which nobody speaks, left within the deadline."""
        async with self.room() as room, self.start(room) as bot:
            await bot.listener.until(lambda: bot.listener.owner, "a track")
            await asyncio.sleep(0.5)
            said = [
                event for _, event in bot.listener.events if not isinstance(event, ev.ActiveSpeakers | ev.TrackOpened)
            ]
            assert said == [ev.Admitted()]
            assert not [event for event in bot.listener.of(ev.ActiveSpeakers) if event.participant_ids]
            assert await bot.leaves() < LEAVE_WITHIN

    async def test_two_speakers_at_once(self) -> None:
        """Both tones are in the mix, and the page says that both speak."""
        async with self.room() as room:
            await room.join("ana", "Ana")
            await room.join("ben", "Ben")
            await room.tone("ana", 440)
            await room.tone("ben", 1000)
            async with self.start(room) as bot:
                both = frozenset(self.names(ana="Ana", ben="Ben"))
                await bot.listener.until(
                    lambda: any(event.participant_ids == both for event in bot.listener.of(ev.ActiveSpeakers)),
                    "both speak",
                )
                await bot.listener.until(lambda: peaks(bot) == {440, 1000}, "both tones")
                assert self.owns(bot)

    async def test_late_join_and_leave_of_a_participant(self) -> None:
        """Somebody joins later, is heard and shown as speaking, and leaves; the other one stays."""
        async with self.room() as room, self.start(room) as bot:
            await room.join("ana", "Ana")
            await room.tone("ana", 440)
            await bot.hears("ana", 440)
            await room.tone("ana", 0)
            await room.join("ben", "Ben")
            await room.tone("ben", 1000)
            await bot.hears("ben", 1000)
            (ben,) = self.names(ben="Ben")
            await bot.listener.until(
                lambda: [one.participant_ids for one in bot.listener.of(ev.ActiveSpeakers)][-1:] == [{ben}],
                "ben speaks alone",
            )
            await room.leave("ben")
            await bot.listener.until(lambda: bot.listener.names == self.names(ana="Ana"), "ben has left")
            await room.tone("ana", 440)
            await bot.hears("ana", 440)

    async def test_comes_back_under_the_same_identity(self) -> None:
        """Who leaves and joins again is heard again."""
        async with self.room() as room, self.start(room) as bot:
            for name, hertz in (("Ana", 440.0), ("Ana again", 1000.0)):
                await room.join("ana", name)
                await room.tone("ana", hertz)
                await bot.hears("ana", hertz)
                await bot.listener.until(partial(_are_here, bot, self.names(ana=name)), "ana is here")
                await room.leave("ana")
                await bot.listener.until(lambda: not bot.listener.names, "ana has left")

    async def test_rename(self) -> None:
        """A new display name keeps the identity, where the page has one beside the name."""
        async with self.room() as room:
            await room.join("ana", "Ana")
            async with self.start(room) as bot:
                await bot.listener.until(lambda: bot.listener.names == self.names(ana="Ana"), "joined")
                await room.rename("ana", "Dr. Ana")
                await bot.listener.until(lambda: bot.listener.names == self.names(ana="Dr. Ana"), "renamed")
                assert bot.listener.count(ev.ParticipantRenamed) == (0 if self.names_identify else 1)

    async def test_joins_a_muted_participant(self) -> None:
        """Who was muted before we came is heard after unmuting."""
        async with self.room() as room:
            await room.join("ana", "Ana")
            await room.mute("ana")
            await room.tone("ana", 440)
            async with self.start(room) as bot:
                await bot.listener.until(lambda: bot.listener.names == self.names(ana="Ana"), "joined")
                await room.unmute("ana")
                await bot.hears("ana", 440)

    async def test_never_sends(self) -> None:
        """Somebody without a microphone is there, and is never shown as speaking."""
        async with self.room() as room:
            await room.join("eve", "Eve", publishes=False)
            await room.join("ana", "Ana")
            await room.tone("ana", 440)
            async with self.start(room) as bot:
                await bot.hears("ana", 440)
                assert bot.listener.names == self.names(ana="Ana", eve="Eve")
                spoke = frozenset().union(*(event.participant_ids for event in bot.listener.of(ev.ActiveSpeakers)))
                assert spoke <= set(self.names(ana="Ana"))


def _are_here(bot: Attending, people: dict[str, str]) -> bool:
    return bot.listener.names == people


BROWSER = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(90)]
"""Marks of tests that start Chromium."""
BY_ONE_DRIVER = [*BROWSER, pytest.mark.usefixtures("driver_of_file")]
"""The same, where the bots need not each start Playwright's driver, too: Google Meet's do."""
