"""A fleet of bots in as many rooms: the real router of each, one real Redis for their budget, and a virtual time.

LiveKit and its egress are scripted by chance: they take their time, refuse, drop out; people come and go; bots are
killed and started again.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from bot.core.router import STALL_TIMEOUT_S, Mode, Road, Router, Stage
from bot.links.redis.leases import LEASE_S, Lease
from common.contracts import keys
from common.redis import FAILURES, connect

TICK_S = 0.5
ASK_TICKS = 6
"""Between a bot's looks at its lease, as `bot.platforms.livekit.roads` takes them."""
NAME = "fleet"


@dataclass(frozen=True, slots=True)
class Chances:
    """What goes wrong, by the minute of one room unless it says otherwise."""

    refused: float = 0.05
    """Of the egresses that are asked for."""
    never_starts: float = 0.02
    """Likewise."""
    drops: float = 0.02
    falls_silent: float = 0.02
    killed: float = 0.01
    moves: float = 0.6
    """Somebody comes, or goes."""


@dataclass
class Room:
    """One room, its bot and its egress."""

    number: int
    people: int
    lease: Lease
    router: Router = field(default_factory=lambda: Router(Mode.AUTO))
    sound_at: float | None = None
    """When the ordered egress is to have sound; None: none is ordered."""
    aligned_at: float = 0.0
    restarts_at: float | None = None
    """When the bot that was killed is started again."""
    unheard_since: float | None = None

    @property
    def composite(self) -> bool:
        return self.router.road is Road.COMPOSITE


@dataclass
class Tally:
    """What was seen."""

    most_leases: int = 0
    most_egresses: int = 0
    """That bots which live have ordered."""
    longest_unheard_s: float = 0.0
    killed: int = 0
    dropped: int = 0
    composite: list[int] = field(default_factory=list)
    """Rooms heard as an egress, each minute."""
    participant: list[int] = field(default_factory=list)
    people: list[int] = field(default_factory=list)
    stages: Counter[Stage] = field(default_factory=Counter)
    room_minutes: Counter[Road] = field(default_factory=Counter)


class Fleet:
    """So many people in so many rooms.

    Args:
        url: Of a real Redis.
        limit: Egresses for all bots together.
        rooms: How many.
        people: In all of them.
        chances: What goes wrong.
        seed: Of everything that happens by chance.
    """

    def __init__(
        self, url: str, limit: int, rooms: int = 100, people: int = 500, chances: Chances | None = None, seed: int = 1
    ) -> None:
        self._url, self._limit = url, limit
        self._chances = chances or Chances()
        self._random = random.Random(seed)
        self._now = 1000.0
        self._client = connect(url)
        sizes = [1] * rooms
        alone = rooms // 4
        for index in self._random.choices(range(alone, rooms), k=people - rooms):
            sizes[index] += 1
        self._rooms = [Room(number, size, self._lease(number)) for number, size in enumerate(sizes)]
        self.tally = Tally()
        self._dead: list[Lease] = []

    def _lease(self, number: int) -> Lease:
        return Lease(self._url, NAME, f"room-{number}", self._limit, lambda: self._now * 1000)

    async def live(self, minutes: float) -> Tally:
        """Lets time pass."""
        for room in self._rooms:
            room.router.people(room.people, self._now)
        for tick in range(round(minutes * 60 / TICK_S)):
            self._now += TICK_S
            asking = [room for room in self._rooms if (tick + room.number) % ASK_TICKS == 0]
            await asyncio.gather(*(self._ask(room) for room in asking))
            for room in self._rooms:
                self._happen(room)
                self._watch(room)
            await self._count(tick)
        return self.tally

    async def close(self) -> None:
        """Gives everything back, and closes what the dead had open."""
        await asyncio.gather(*(room.lease.give_back() for room in self._rooms))
        await asyncio.gather(*(lease.give_back() for lease in self._dead))
        await self._client.aclose()

    async def _ask(self, room: Room) -> None:
        if room.restarts_at is not None:
            return
        if room.router.wants_budget:
            room.router.budget(await room.lease.ask(), self._now)
        if not room.router.wants_budget:
            await room.lease.give_back()

    def _chance(self, per_minute: float) -> bool:
        return self._random.random() < per_minute * TICK_S / 60

    def _happen(self, room: Room) -> None:
        chances = self._chances
        if self._chance(chances.moves):
            room.people = max(1, room.people + self._random.choice([-1, 1]))
        if room.restarts_at is not None:
            if self._now < room.restarts_at:
                return
            room.restarts_at, room.router, room.lease = None, Router(Mode.AUTO), self._lease(room.number)
        if self._chance(chances.killed):
            self.tally.killed += 1
            self._dead.append(room.lease)
            room.restarts_at, room.sound_at = self._now + self._random.uniform(3, LEASE_S), None
            return
        room.router.people(room.people, self._now)
        self._run_egress(room)
        room.router.tick(self._now)

    def _run_egress(self, room: Room) -> None:
        router, chances = room.router, self._chances
        if not router.wants_egress:
            room.sound_at = None
            return
        if room.sound_at is None:
            if self._random.random() < chances.refused:
                router.failed("refused", self._now)
                return
            never = self._random.random() < chances.never_starts
            room.sound_at = self._now + (1e9 if never else self._random.uniform(1.5, 6))
            room.aligned_at = room.sound_at + self._random.uniform(5, 20)
        if self._now < room.sound_at:
            return
        if self._chance(chances.drops):
            self.tally.dropped += 1
            room.sound_at = None
            router.failed("dropped", self._now)
            return
        if self._chance(chances.falls_silent):
            room.sound_at = float("inf")  # nobody says so
            return
        router.heard(self._now)
        if self._now >= room.aligned_at and router.stage is Stage.OVERLAP:
            router.aligned(self._now)
        if self._random.random() < 0.3:
            router.pause(self._now)

    def _watch(self, room: Room) -> None:
        """Is it heard? By a bot that lives."""
        router = room.router
        has_sound = room.sound_at is not None and self._now >= room.sound_at
        is_heard = room.restarts_at is not None or (has_sound if room.composite else router.hears_tracks)
        room.unheard_since = None if is_heard else room.unheard_since or self._now
        if room.unheard_since is not None:
            unheard = self._now - room.unheard_since
            self.tally.longest_unheard_s = max(self.tally.longest_unheard_s, unheard)
            assert unheard <= STALL_TIMEOUT_S, f"room {room.number} is not heard"

    async def _count(self, tick: int) -> None:
        tally = self.tally
        alive = [room for room in self._rooms if room.restarts_at is None]
        tally.most_egresses = max(tally.most_egresses, sum(room.sound_at is not None for room in alive))
        for room in alive:
            tally.room_minutes[room.router.road] += 1
        with suppress(*FAILURES):
            if tick % 20 == 0:
                tally.most_leases = max(tally.most_leases, int(await self._client.zcard(keys.leases(NAME)[0])))
        if tick % 120 == 119:
            composite = sum(room.composite for room in alive)
            tally.composite.append(composite)
            tally.participant.append(len(alive) - composite)
            tally.people.append(sum(room.people for room in self._rooms))
        tally.stages = Counter(room.router.stage for room in alive)
