"""What all bots share a number of, in a real Redis: never more than there are, in turn, nothing kept by the dead."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from bot.links.redis import leases
from bot.links.redis.leases import LEASE_S, PATIENCE_S, Lease
from tests.support.servers.redis_server import server

pytestmark = [pytest.mark.redis, pytest.mark.timeout(60)]


class Clock:
    """Milliseconds that the test moves."""

    def __init__(self) -> None:
        self.ms = 1_000_000.0

    def __call__(self) -> float:
        return self.ms

    def pass_by(self, seconds: float) -> None:
        """Time passes."""
        self.ms += seconds * 1000


class Bots:
    """Several bots that share what there is of one thing."""

    def __init__(self, url: str, total: int) -> None:
        self.clock = Clock()
        self._url, self._total = url, total
        self._leases: list[Lease] = []

    def bot(self, who: str, total: int | None = None) -> Lease:
        """One more."""
        lease = Lease(self._url, "things", who, total or self._total, self.clock)
        self._leases.append(lease)
        return lease

    async def close(self) -> None:
        for lease in self._leases:
            await lease.give_back()


@asynccontextmanager
async def sharing(total: int) -> AsyncIterator[Bots]:
    """Bots that share so many."""
    async with server() as redis:
        bots = Bots(redis.url, total)
        try:
            yield bots
        finally:
            await bots.close()


async def test_never_more_than_there_are() -> None:
    """Whoever comes when all are taken gets none, until one is given back; asking again renews."""
    async with sharing(2) as bots:
        a, b, c = bots.bot("a"), bots.bot("b"), bots.bot("c")
        assert [await lease.ask() for lease in (a, b, c)] == [True, True, False]
        for _ in range(5):
            bots.clock.pass_by(PATIENCE_S - 1)
            assert [await lease.ask() for lease in (a, b, c)] == [True, True, False]
        await b.give_back()
        assert [await lease.ask() for lease in (b, c, a)] == [False, True, True]


async def test_first_come_first_served() -> None:
    """Who has waited longest is the next, whoever asks first then; who does not ask any more has lost their place."""
    async with sharing(1) as bots:
        a, b, c, d = (bots.bot(who) for who in "abcd")
        for lease in (a, b, c, d):
            await lease.ask()
            bots.clock.pass_by(0.1)
        await a.give_back()
        assert [await lease.ask() for lease in (d, c, b)] == [False, False, True]
        bots.clock.pass_by(PATIENCE_S - 0.1)  # c and d have not asked for that long …
        assert await d.ask() is False
        await b.give_back()
        bots.clock.pass_by(0.2)  # … and c goes on not asking
        assert await d.ask()


async def test_one_for_each_room() -> None:
    """A second bot in the same room gets none, though some are free, and cannot give back what is not its own."""
    async with sharing(5) as bots:
        one, other = bots.bot("room"), bots.bot("room")
        assert await one.ask()
        assert not await other.ask()
        await other.give_back()
        assert not await other.ask()
        assert await one.ask()
        await one.give_back()
        assert await other.ask()


async def test_dead_holder() -> None:
    """Its lease ends by itself; who gets the next is told what it was used for, once. Come back to life it has none."""
    async with sharing(1) as bots:
        dead, next_one, last = (bots.bot(who) for who in ("dead", "next", "last"))
        assert await dead.ask()
        dead.used_for = "EG_1"
        assert await dead.ask()
        bots.clock.pass_by(LEASE_S - 0.1)
        assert not await next_one.ask()
        bots.clock.pass_by(0.2)
        assert await next_one.ask()
        assert next_one.left_behind == ("EG_1",)
        assert not await dead.ask()
        await next_one.give_back()
        assert await last.ask()
        assert last.left_behind == ()


async def test_heritage() -> None:
    """What was left behind is told until the heir has something of its own: its answer may be lost, or it may die."""
    async with sharing(1) as bots:
        dead, heir, third, last = (bots.bot(who) for who in ("dead", "heir", "third", "last"))
        assert await dead.ask()
        dead.used_for = "EG_1"
        assert await dead.ask()
        bots.clock.pass_by(LEASE_S + 0.1)
        await heir._call("take")  # and the answer is lost
        assert await heir.ask()
        assert heir.left_behind == ("EG_1",)
        assert await heir.ask()
        bots.clock.pass_by(LEASE_S + 0.1)
        assert await third.ask()
        assert third.left_behind == ("EG_1",)
        third.used_for = "EG_2"
        assert await third.ask()
        bots.clock.pass_by(LEASE_S + 0.1)
        assert await last.ask()
        assert last.left_behind == ("EG_2",)


async def test_what_is_given_back_in_use() -> None:
    """Who could not end what the lease is used for gives it back all the same: the next one is told of it."""
    async with sharing(1) as bots:
        one, next_one, last = (bots.bot(who) for who in ("one", "next", "last"))
        assert await one.ask()
        one.used_for = "EG_1"
        await one.give_back()
        assert await next_one.ask()
        assert next_one.left_behind == ("EG_1",)
        next_one.used_for = ""
        await next_one.give_back()
        await one.give_back()
        assert await last.ask()
        assert last.left_behind == ()


async def test_a_clock_that_is_set_back() -> None:
    """By an hour, as where a replica takes over whose clock is another: neither a dead holder nor a dead one that waits
    keeps anybody waiting for longer than a lease, and who lives keeps theirs."""
    async with sharing(2) as bots:
        dead, alive, dead_in_queue, next_one = (bots.bot(who) for who in ("dead", "alive", "queue", "next"))
        assert [await lease.ask() for lease in (dead, alive, dead_in_queue)] == [True, True, False]
        bots.clock.pass_by(-3600)
        for _ in range(3):
            assert [await lease.ask() for lease in (alive, next_one)] == [True, False]
            bots.clock.pass_by(LEASE_S / 3 + 0.1)
        assert [await lease.ask() for lease in (alive, next_one)] == [True, True]


async def test_kill_9() -> None:
    """A bot's process that is killed keeps nothing for longer than a lease."""
    async with server() as redis:
        body = (
            "import asyncio, sys\n"
            "from bot.links.redis.leases import Lease\n"
            "async def main():\n"
            f"    print(await Lease({redis.url!r}, 'things', 'dead', 1).ask(), flush=True)\n"
            "    await asyncio.sleep(600)\n"
            "asyncio.run(main())\n"
        )
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", body, stdout=asyncio.subprocess.PIPE)
        try:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"True\n"
            heir = Lease(redis.url, "things", "heir", 1)
            assert not await heir.ask()
            os.kill(process.pid, signal.SIGKILL)
            later = Lease(redis.url, "things", "heir", 1, lambda: (time.time() + LEASE_S) * 1000)
            assert await later.ask()
            await heir.give_back()
            await later.give_back()
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def test_redis_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody gets one; who has one keeps it until it can end, and gives up before. Afterwards all begins anew."""
    monkeypatch.setattr(leases, "LEASE_S", 1.5)
    monkeypatch.setattr(leases, "MARGIN_S", 0.5)
    async with server() as redis:
        held, late = Lease(redis.url, "things", "held", 9), Lease(redis.url, "things", "late", 9)
        assert await held.ask()
        taken = time.monotonic()
        await redis.stop(kill=True)
        assert not await late.ask()
        while await held.ask():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        assert time.monotonic() - taken < 1.5
        await held.give_back()
        await redis.start()
        assert await held.ask()
        await held.give_back()
        await late.give_back()
