"""The contract suite: what every meeting platform must show against a real counterpart.

A platform's test file implements `Room` (a meeting that the test directs, step by step; the smallest is
`tests/platforms/toy/room.py`) and subclasses `PlatformContract`:

    class TestLiveKit(PlatformContract):
        platform = "livekit"

        def room(self, lobby: bool = False) -> AbstractAsyncContextManager[Room]:
            return livekit_room()

Every test opens a room, sends the platform in, directs the meeting and compares what the listener heard with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import numpy as np
import pytest

from bot.core import events as ev
from bot.core.orders import Order, Reconnect, Rejoin, Resubscribe, SendChat, Speak
from bot.platforms import PLATFORMS, load
from bot.platforms.base import Invitation, Platform
from bot.platforms.orders import Orders
from common.contracts.status import SubCode
from common.errors import EarshotError
from tests.platforms.rooms import Room
from tests.support.fakes.listener import RATE, RecordingListener
from tests.support.processes import children
from tests.support.waiting import eventually

__all__ = ["LEAVE_WITHIN", "Attending", "PlatformContract", "Room", "attending"]

LEAVE_WITHIN = 2.0  # seconds from `leave` to the return of `attend`


@dataclass(slots=True)
class Attending:
    """A platform in a meeting."""

    listener: RecordingListener
    orders: Orders
    task: asyncio.Task[SubCode]

    @property
    def leave(self) -> asyncio.Event:
        """Set: told to leave."""
        return self.orders.leaving

    async def ends(self, within: float | None = None) -> SubCode:
        """Waits for the return of `attend`."""
        async with asyncio.timeout(within or self.listener.patience):
            return await asyncio.shield(self.task)

    async def leaves(self) -> float:
        """Asks to leave, expects LEFT_BY_COMMAND; returns the seconds that took."""
        asked = time.monotonic()
        self.leave.set()
        assert await self.ends(LEAVE_WITHIN) is SubCode.LEFT_BY_COMMAND
        return time.monotonic() - asked

    async def hears(self, who: str, hertz: float, timeout: float | None = None) -> None:
        """Waits until what has newly arrived of the person is the tone."""
        since = time.monotonic()

        def matches() -> bool:
            pitch = self.listener.pitch(who, since)
            return pitch is not None and abs(pitch - hertz) <= 15

        await self.listener.until(matches, f"{who} heard at {hertz} Hz", timeout)


@asynccontextmanager
async def attending(platform: Platform, invitation: Invitation, patience: float = 30.0) -> AsyncIterator[Attending]:
    """Sends the platform into the meeting; at the end it has left, broken no rule and left nothing behind."""
    processes, threads = children(), set(threading.enumerate())
    listener, orders = RecordingListener(patience), Orders()
    task = asyncio.create_task(platform.attend(invitation, listener, orders))
    watch = asyncio.create_task(_report_early_end(task, listener))
    try:
        yield Attending(listener, orders, task)
    finally:
        orders.leave()
        await asyncio.wait({task}, timeout=5)
        ended = task.done()
        for one in (task, watch):
            one.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)
    assert ended, "attend() did not return within 5 s of `leave`"
    assert listener.breaches == []
    assert not listener.uncounted, "somebody speaks in a mix, and neither people nor their number were told of"
    with contextlib.suppress(TimeoutError):  # what was killed dies when it has a processor
        await eventually(lambda: children() <= processes, 5)
    assert children() <= processes, "a process was left behind"
    left = {
        thread for thread in set(threading.enumerate()) - threads if not thread.daemon and "asyncio_" not in thread.name
    }
    assert not left, f"threads left behind: {left}"


async def _report_early_end(task: asyncio.Task[SubCode], listener: RecordingListener) -> None:
    await asyncio.wait({task})
    listener.over = "cancelled" if task.cancelled() else repr(task.exception() or task.result())
    listener._changed.set()


class PlatformContract:
    """Subclass it as `Test<Platform>` and say what differs."""

    platform: str
    """The name in the registry."""
    has_lobby = False
    patience = 20.0
    """Seconds in which what is waited for comes, joining included."""
    refusal = SubCode.JOIN_REFUSED
    """How a room that does not want us ends the attempt."""

    def names(self, **people: str) -> dict[str, str]:
        """Identity → name, as the platform reports who joined the room as `who=name`."""
        return people

    def owns(self, bot: Attending, *who: str) -> bool:
        """Whether exactly these people have a track each."""
        return sorted(map(str, bot.listener.owner.values())) == sorted(who)

    def room(self, lobby: bool = False) -> AbstractAsyncContextManager[Room]:
        """A fresh, empty room; with `lobby` the bot waits until `Room.admit`."""
        raise NotImplementedError

    def refusing(self) -> AbstractAsyncContextManager[Invitation]:
        """A reachable room that does not let the bot in, and the invitation to try it with."""
        raise NotImplementedError

    def unreachable(self) -> tuple[Invitation, str]:
        """An invitation that points at nothing, and the text (host and port) that the error must contain."""
        raise NotImplementedError

    def start(self, room: Room) -> AbstractAsyncContextManager[Attending]:
        """Sends a fresh instance of the platform into the room."""
        return attending(load(self.platform), room.invitation(), self.patience)

    @asynccontextmanager
    async def hearing(self) -> AsyncIterator[tuple[Room, Attending]]:
        """A room with Ana, whose tone of 440 Hz the bot hears."""
        async with self.room() as room:
            await room.join("ana", "Ana")
            await room.tone("ana", 440)
            async with self.start(room) as bot:
                await bot.hears("ana", 440)
                yield room, bot

    async def test_claims_its_own_urls_alone(self) -> None:
        """Exactly one registered platform claims the room's URL."""
        async with self.room() as room:
            url = room.invitation().meeting_url or ""
        assert [name for name in PLATFORMS if load(name).claims(url)] == [self.platform]
        assert not load(self.platform).claims("https://meet.example.com/abc-defg-hij")

    async def test_empty_room(self) -> None:
        """A room without people: admitted once, nothing else happens, left within the deadline."""
        async with self.room() as room, self.start(room) as bot:
            await bot.listener.until(lambda: bot.listener.admitted, "admitted")
            await asyncio.sleep(0.5)
            assert [event for _, event in bot.listener.events] == [ev.Admitted()]
            assert await bot.leaves() < LEAVE_WITHIN

    async def test_lobby(self) -> None:
        """A lobby is never taken for admission; the host's admission is."""
        if not self.has_lobby:
            pytest.skip(f"{self.platform} has no lobby")
        async with self.room(lobby=True) as room, self.start(room) as bot:
            await bot.listener.until(lambda: bot.listener.count(ev.LobbyEntered), "in the lobby")
            await asyncio.sleep(0.5)
            assert [event for _, event in bot.listener.events] == [ev.LobbyEntered()]
            await room.admit()
            await bot.listener.until(lambda: bot.listener.admitted, "admitted")

    async def test_leave_from_the_lobby(self) -> None:
        """Leaving works while nobody has admitted us."""
        if not self.has_lobby:
            pytest.skip(f"{self.platform} has no lobby")
        async with self.room(lobby=True) as room, self.start(room) as bot:
            await bot.listener.until(lambda: bot.listener.count(ev.LobbyEntered), "in the lobby")
            assert await bot.leaves() < LEAVE_WITHIN
            assert not bot.listener.admitted

    async def test_refused(self) -> None:
        """A room that does not want us: its own sub-code, never admitted."""
        async with self.refusing() as invitation, attending(load(self.platform), invitation) as bot:
            with pytest.raises(EarshotError) as failure:
                await bot.ends(20)
            assert failure.value.code is self.refusal
            assert str(failure.value)
            assert not bot.listener.admitted

    async def test_unreachable(self) -> None:
        """Nobody answers: ROOM_UNREACHABLE in bounded time, and the message names where."""
        invitation, names = self.unreachable()
        async with attending(load(self.platform), invitation) as bot:
            with pytest.raises(EarshotError) as failure:
                await bot.ends(15)
            assert failure.value.code is SubCode.ROOM_UNREACHABLE
            assert names in str(failure.value)
            assert bot.listener.events == []

    async def test_leave_while_the_room_is_unreachable(self) -> None:
        """Leaving does not wait for an attempt to connect (which may have failed by then)."""
        invitation, _ = self.unreachable()
        async with attending(load(self.platform), invitation) as bot:
            await asyncio.sleep(0.05)
            bot.leave.set()
            try:
                code = await bot.ends(LEAVE_WITHIN)
            except EarshotError as error:
                code = error.code
            assert code in (SubCode.LEFT_BY_COMMAND, SubCode.ROOM_UNREACHABLE)

    async def test_two_speakers_at_once(self) -> None:
        """Two people speak at the same time; each tone is heard on the track of the one who made it."""
        async with self.room() as room:
            await room.join("ana", "Ana")
            await room.join("ben", "Ben")
            await room.tone("ana", 440)
            await room.tone("ben", 1000)
            async with self.start(room) as bot:
                await bot.listener.until(
                    lambda: bot.listener.names == self.names(ana="Ana", ben="Ben"), "both are here"
                )
                await asyncio.gather(bot.hears("ana", 440), bot.hears("ben", 1000))
                assert self.owns(bot, "ana", "ben")

    async def test_late_join_and_leave_of_a_participant(self) -> None:
        """Somebody joins later, is heard, leaves, and is heard no more; the other one stays."""
        async with self.room() as room, self.start(room) as bot:
            await room.join("ana", "Ana")
            await room.tone("ana", 440)
            await bot.hears("ana", 440)
            await room.join("ben", "Ben")
            await room.tone("ben", 1000)
            await bot.hears("ben", 1000)
            await room.leave("ben")
            await bot.listener.until(lambda: bot.listener.names == self.names(ana="Ana"), "ben has left")
            left = time.monotonic()
            await bot.hears("ana", 440)
            assert self.owns(bot, "ana")
            assert bot.listener.heard("ben", since=left).size == 0

    async def test_comes_back_under_the_same_identity(self) -> None:
        """Who leaves and joins again is heard again."""
        async with self.room() as room, self.start(room) as bot:
            for name, hertz in (("Ana", 440.0), ("Ana again", 1000.0)):
                await room.join("ana", name)
                await room.tone("ana", hertz)
                await bot.hears("ana", hertz)
                assert bot.listener.names == self.names(ana=name)
                await room.leave("ana")
                await bot.listener.until(lambda: not bot.listener.names, "ana has left")

    async def test_rename(self) -> None:
        """A new display name keeps the identity and the track."""
        async with self.room() as room:
            await room.join("ana", "Ana")
            async with self.start(room) as bot:
                await bot.listener.until(lambda: bot.listener.owner, "a track")
                before = dict(bot.listener.owner)
                await room.rename("ana", "Dr. Ana")
                await bot.listener.until(lambda: bot.listener.names == self.names(ana="Dr. Ana"), "renamed")
                assert bot.listener.of(ev.ParticipantRenamed) == [ev.ParticipantRenamed("ana", "Dr. Ana")]
                assert bot.listener.owner == before

    async def test_mute_and_unmute(self) -> None:
        """While muted nothing is read; after unmuting the speaker is heard again."""
        async with self.hearing() as (room, bot):
            await room.mute("ana")
            await bot.listener.until(lambda: bot.listener.muted, "muted")
            muted = time.monotonic()
            await room.tone("ana", 1000)
            await asyncio.sleep(0.6)
            assert bot.listener.heard("ana", since=muted).size == 0
            await room.unmute("ana")
            await bot.listener.until(lambda: not bot.listener.muted, "unmuted")
            await bot.hears("ana", 1000)
            assert bot.listener.heard("ana", since=muted).size > 0

    async def test_joins_a_muted_participant(self) -> None:
        """A track that was muted before we came says so, and is heard after unmuting."""
        async with self.room() as room:
            await room.join("ana", "Ana")
            await room.mute("ana")
            await room.tone("ana", 440)
            async with self.start(room) as bot:
                await bot.listener.until(lambda: bot.listener.muted, "the track is muted")
                await room.unmute("ana")
                await bot.hears("ana", 440)

    async def test_never_sends(self) -> None:
        """Somebody without a track, and a track of digital zeros, next to a speaker who is heard."""
        async with self.room() as room:
            await room.join("eve", "Eve", publishes=False)
            await room.join("zoe", "Zoe")
            await room.join("ana", "Ana")
            await room.tone("zoe", 0)
            await room.tone("ana", 440)
            async with self.start(room) as bot:
                await bot.hears("ana", 440)
                assert set(bot.listener.names) == {"ana", "eve", "zoe"}
                assert self.owns(bot, "ana", "zoe")
                zeros = bot.listener.heard("zoe")
                assert zeros.size == 0 or np.abs(zeros).max() <= 8
                assert bot.listener.heard("eve").size == 0

    async def test_network_cut(self) -> None:
        """The connection breaks and comes back: said once each way, the same people, heard again."""
        async with self.hearing() as (room, bot):
            cut = asyncio.create_task(room.cut(1.0))
            await bot.listener.until(lambda: bot.listener.count(ev.TransportLost), "lost")
            await bot.listener.until(lambda: bot.listener.count(ev.TransportBack), "back", 15)
            await cut
            await bot.hears("ana", 440)
            changes = [
                event for _, event in bot.listener.events if isinstance(event, ev.TransportLost | ev.TransportBack)
            ]
            assert changes == [ev.TransportLost(), ev.TransportBack()]
            assert bot.listener.names == self.names(ana="Ana")
            assert self.owns(bot, "ana")

    async def test_leave_during_a_network_cut(self) -> None:
        """Leaving does not wait for the connection."""
        async with self.room() as room, self.start(room) as bot:
            await bot.listener.until(lambda: bot.listener.admitted, "admitted")
            cut = asyncio.create_task(room.cut(3.0))
            await bot.listener.until(lambda: bot.listener.count(ev.TransportLost), "lost")
            assert await bot.leaves() < LEAVE_WITHIN
            cut.cancel()
            await asyncio.gather(cut, return_exceptions=True)

    async def test_removed_by_the_host(self) -> None:
        """Removal is said as such and we do not come back."""
        async with self.room() as room:
            await room.join("ana", "Ana")
            async with self.start(room) as bot:
                await bot.listener.until(lambda: bot.listener.owner, "a track")
                await room.remove_bot()
                assert await bot.ends() is SubCode.REMOVED
                assert bot.listener.count(ev.Admitted) == 1

    async def test_meeting_ended(self) -> None:
        """The end of the meeting is said as such."""
        async with self.room() as room:
            await room.join("ana", "Ana")
            async with self.start(room) as bot:
                await bot.listener.until(lambda: bot.listener.owner, "a track")
                await room.end()
                assert await bot.ends() is SubCode.MEETING_ENDED

    async def test_leaves_within_the_deadline_under_audio(self) -> None:
        """Leaving twice while people speak: once, in time, and nothing is reported afterwards."""
        async with self.hearing() as (_, bot):
            bot.leave.set()
            assert await bot.leaves() < LEAVE_WITHIN
            events, frames = len(bot.listener.events), len(bot.listener.frames)
            await asyncio.sleep(0.2)
            assert (len(bot.listener.events), len(bot.listener.frames)) == (events, frames)

    async def test_orders_that_it_may_not_be_able_to_carry_out(self) -> None:
        """With its queue of orders full it goes on hearing, and the order to leave waits for none of them."""
        async with self.hearing() as (_, bot):
            assert bot.orders.give(Speak("hello"))
            while bot.orders.give(SendChat("hello")):
                pass
            await bot.hears("ana", 440)
            assert await bot.leaves() < LEAVE_WITHIN

    @pytest.mark.parametrize("order", [Resubscribe("?"), Reconnect(), Rejoin()], ids=lambda order: type(order).__name__)
    async def test_is_heard_again_after_an_order_of_the_recovery_ladder(self, order: Order) -> None:
        """Carried out, the same people are heard again, nobody was said to come or go; an unknown track is no crash."""
        if type(order) not in load(self.platform).carries_out:
            pytest.skip(f"{self.platform} does not carry out {type(order).__name__}")
        async with self.hearing() as (_, bot):
            track, before = next(iter(bot.listener.owner)), {frame.source for _, frame in bot.listener.frames}
            assert bot.orders.give(order)
            if isinstance(order, Resubscribe):
                assert bot.orders.give(Resubscribe(track))
            await bot.listener.until(lambda: bot.listener.frames[-1][1].source not in before, "carried out", 15)
            await bot.hears("ana", 440, 15)
            assert bot.listener.names == self.names(ana="Ana")
            assert self.owns(bot, "ana")
            assert bot.listener.count(ev.ParticipantLeft) == 0

    @pytest.mark.parametrize("after", [0.0, 0.005, 0.02, 0.06, 0.12, 0.25, 0.6, "audio"])
    async def test_cancelled(self, after: float | str) -> None:
        """Cancelled at any moment it stops in time and leaves no task, thread or process."""
        async with self.room() as room:
            await room.join("ana", "Ana")
            await room.tone("ana", 440)
            async with self.start(room) as bot:
                if isinstance(after, float):
                    await asyncio.sleep(after)
                else:
                    await bot.hears("ana", 440)
                bot.task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await bot.ends(LEAVE_WITHIN)

    async def test_joins_again_at_once(self) -> None:
        """Leaving and joining with the same configuration again works: nothing of the first visit is in the way."""
        async with self.room() as room:
            await room.join("ana", "Ana")
            await room.tone("ana", 440)
            for _ in range(2):
                async with self.start(room) as bot:
                    await bot.hears("ana", 440)
                    await bot.leaves()
                    assert bot.listener.heard("ana").size >= RATE // 2
