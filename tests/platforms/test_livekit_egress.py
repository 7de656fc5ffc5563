"""LiveKit's egress: API and webhooks of a real livekit-server; rooms that are heard as one, over a real RTMP server.

The worker stands in (tests/support/servers/egress.py): what it says to the server and the server to us is real.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bot.audio.pauses import PAUSE_S
from bot.audio.timeline import Timeline
from bot.core import events as ev
from bot.core import router
from bot.links.redis.leases import Lease
from bot.platforms.base import Invitation
from bot.platforms.livekit import LiveKit, egress, room_egress
from bot.platforms.livekit.egress import EgressApi, EgressError, EgressState
from bot.platforms.livekit.settings import EgressSettings
from bot.platforms.livekit.webhooks import WebhookRefused, Webhooks
from common.contracts.status import SubCode
from common.errors import EarshotError
from rehearsal.clips import load_clip
from rehearsal.livekit.guest import Guest
from rehearsal.livekit.server import MISSING, LiveKitServer, find_livekit_server, livekit_server
from tests.platforms.contract import Attending, attending
from tests.support.lanes import free_port
from tests.support.servers.egress import EgressWorker, Hooks, require_worker
from tests.support.servers.livekit import invited
from tests.support.servers.redis_server import server as redis_server
from tests.support.servers.rtmp import RtmpServer, rtmp_server
from tests.support.tools import require
from tests.support.waiting import eventually

pytestmark = [pytest.mark.livekit, pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(150)]
ROOM = "standup"
PATIENCE_S = 60.0
MAX_HOLE_S = 0.2
"""Where a track begins, or its clock is corrected, on a busy machine."""


@dataclass
class Stage:
    """Everything but the bot."""

    server: LiveKitServer
    worker: EgressWorker
    rtmp: RtmpServer
    redis_url: str

    def invitation(self, mode: str = "auto", **changes: Any) -> Invitation:
        ingest = f"rtmp://127.0.0.1:{self.rtmp.port}/live"
        own: dict[str, Any] = {"ingest_url": ingest, "secret": self.rtmp.secret, "limit": 1} | changes
        return invited(
            self.server,
            ROOM,
            mode=mode,
            egress=EgressSettings(**own),
            budgets=lambda name, who, total: Lease(self.redis_url, name, who, total),
        )


@asynccontextmanager
async def server_with_redis() -> AsyncIterator[tuple[LiveKitServer, str]]:
    """A livekit-server that could reach workers, and the Redis between them."""
    require(os.environ.get("EARSHOT_HERMETIC"), "LiveKit tests need a network of their own: tools/hermetic pytest …")
    require(find_livekit_server(), MISSING)
    async with redis_server() as redis:
        with livekit_server(redis=f"127.0.0.1:{redis.port}") as server:
            yield server, redis.url


@asynccontextmanager
async def stage(latency: float = 0.4, workers: int = 1) -> AsyncIterator[Stage]:
    """A server, a worker with room for so many, an RTMP server."""
    require_worker()
    async with AsyncExitStack() as stack:
        server, redis_url = await stack.enter_async_context(server_with_redis())
        rtmp = await stack.enter_async_context(rtmp_server())
        worker = EgressWorker(server, latency)
        await stack.enter_async_context(worker.working(redis_url, workers))
        yield Stage(server, worker, rtmp, redis_url)


@asynccontextmanager
async def company(server: LiveKitServer, *who: str) -> AsyncIterator[dict[str, Guest]]:
    """People in the room, with open microphones."""
    guests = {name: Guest(name, name.title()) for name in who}
    for guest in guests.values():
        await guest.join(server, ROOM)
        await guest.publish()
    try:
        yield guests
    finally:
        for guest in guests.values():
            await guest.leave()


@asynccontextmanager
async def talking(guests: dict[str, Guest]) -> AsyncIterator[None]:
    """They take turns, with pauses."""
    clips = {who: load_clip(clip, Path()).pcm for who, clip in zip(guests, ("ana1", "ben2", "ewan5"), strict=False)}

    async def talk() -> None:
        while True:
            for who in clips:
                await guests[who].speak(clips[who])
                await guests[who].speak(room_tone(1.2))

    task = asyncio.create_task(talk())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def room_tone(seconds: float) -> NDArray[np.int16]:
    """What a microphone in a quiet room sends."""
    return np.random.default_rng(1).normal(0, 4, round(48_000 * seconds)).astype(np.int16)


async def on_road(bot: Attending, composite: bool) -> None:
    """Waits until the room is heard on the mix alone, or on tracks alone."""
    owners = bot.listener.owner
    await bot.listener.until(
        lambda: bool(owners) and all((owner is None) is composite for owner in owners.values()), "the road", PATIENCE_S
    )


def check_each_moment_once(bot: Attending, since: float, until: float) -> None:
    """What was heard lies on the clock, as the audio plane would lay it, without a hole; tracks are never heard beside
    the mix but for the pause in which the road changes."""
    lines: dict[str, Timeline] = {}
    zero = bot.listener.frames[0][1].arrival - 1  # nothing is placed before it
    heard = np.zeros((2, round((until - since) * 16_000)), bool)
    for _, frame in bot.listener.frames:
        line = lines.setdefault(frame.track_id, Timeline(zero))
        start = line.place(frame.position, frame.source, frame.arrival, len(frame.pcm))
        start -= round((since - zero) * 16_000)
        heard[int(frame.track_id == room_egress.TRACK_ID), max(start, 0) : max(start + len(frame.pcm), 0)] = True
    ends = np.flatnonzero(np.concatenate([[True], heard.any(axis=0), [True]]))
    holes = {round(ends[at] / 16_000, 2): (n - 1) / 16_000 for at, n in enumerate(np.diff(ends)) if n > 1}
    firsts = [round(np.flatnonzero(road)[0] / 16_000, 2) if road.any() else None for road in heard]
    assert max(holes.values(), default=0.0) <= MAX_HOLE_S, f"unheard at {holes}; roads begin at {firsts}"
    changes = len([track for track in bot.listener.of(ev.TrackOpened) if track.participant_id is None])
    assert (both := heard.all(axis=0).sum() / 16_000) <= 2 * changes * PAUSE_S, f"{both:.2f} s on both roads"


async def becomes(api: EgressApi, egress_id: str, state: EgressState) -> None:
    """Waits until the server says so."""
    async with asyncio.timeout(20):
        while (await api.look(egress_id)).state is not state:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_api_of_a_real_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Started, seen, stopped; unknown rooms, wrong keys and a worker that is full are told apart."""
    async with stage() as here, company(here.server, "ana"):
        api = EgressApi(here.server.url, here.server.api_key, here.server.api_secret)
        url = here.rtmp.url("one", "publish")
        started = await api.start_room_composite(ROOM, url, "bot-1")
        assert (started.state, started.mark) == (EgressState.STARTING, "bot-1")
        await eventually(lambda: here.worker.running == [started.egress_id])
        await becomes(api, started.egress_id, EgressState.ACTIVE)
        assert [one.egress_id for one in await api.active(ROOM)] == [started.egress_id]
        monkeypatch.setattr(egress, "CALL_TIMEOUT_S", 2.0)
        with pytest.raises(EgressError, match="worker is running, or none has room"):
            await api.start_room_composite(ROOM, url, "bot-2")
        monkeypatch.undo()
        await api.stop(started.egress_id)
        await becomes(api, started.egress_id, EgressState.COMPLETE)
        await api.stop(started.egress_id)  # over already
        assert await api.active(ROOM) == []
        with pytest.raises(EgressError) as unknown:
            await api.start_room_composite("nowhere", url, "bot-1")
        assert unknown.value.code == "not_found"
        with pytest.raises(EgressError):
            await api.look("EG_unknown")
        await api.close()
        stranger = EgressApi(here.server.url, here.server.api_key, "w" * 32)
        with pytest.raises(EgressError, match=r"livekit\.apiSecret") as refused:
            await stranger.active(ROOM)
        assert refused.value.code == "unauthenticated"
        await stranger.close()


async def test_server_without_redis(livekit: LiveKitServer) -> None:
    """It knows no egress, and says so at once when asked which there are, as a bot asks first; to an order for one it
    would not answer."""
    api = EgressApi(livekit.url, livekit.api_key, livekit.api_secret)
    with pytest.raises(EgressError, match="has no Redis"):
        await api.active(ROOM)
    await api.close()


async def test_webhooks_of_a_real_server() -> None:
    """What the server signed is read, once; the same again, changed, or without its signature is not."""
    hooks = Hooks()
    receiver = await asyncio.start_server(hooks.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}/"
    async with stage() as here, company(here.server, "ana"):
        api = EgressApi(here.server.url, here.server.api_key, here.server.api_secret)
        started = await api.start_room_composite(ROOM, here.rtmp.url("one", "publish"), "bot-1", [url])
        await eventually(lambda: hooks.of("egress_updated"), 20)
        await api.stop(started.egress_id)
        await eventually(lambda: hooks.of("egress_ended"), 20)
        await api.close()
        webhooks = Webhooks(here.server.api_key, here.server.api_secret)
        for event, state in (("egress_started", EgressState.STARTING), ("egress_ended", EgressState.COMPLETE)):
            headers, body = hooks.of(event)[0]
            read = webhooks.read(headers["content-type"], headers["authorization"], body)
            assert read is not None
            assert (read.event, read.egress.egress_id, read.egress.state) == (event, started.egress_id, state)
            assert webhooks.read(headers["content-type"], headers["authorization"], body) is None
            changed = body.replace(b"EGRESS", b"egress") if b"EGRESS" in body else body + b" "
            with pytest.raises(WebhookRefused, match="not what was signed"):
                webhooks.read(headers["content-type"], headers["authorization"], changed)
            with pytest.raises(WebhookRefused, match="not signed"):
                webhooks.read(headers["content-type"], "", body)
    receiver.close()


async def test_room_that_is_heard_as_an_egress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two people: tracks first, then the mix alone, named by who speaks; it drops out: the tracks at once, and later an
    egress again; one person left: the tracks. Each moment is heard once."""
    monkeypatch.setattr(router, "CROWD_S", 1.0)
    monkeypatch.setattr(router, "COOL_DOWN_S", 2.0)
    monkeypatch.setattr(router, "ALONE_S", 1.0)
    async with stage(latency=1.0) as here, company(here.server, "ana", "ben") as guests, talking(guests):  # noqa: SIM117
        async with attending(LiveKit(), here.invitation(), PATIENCE_S) as bot:
            await bot.listener.until(
                lambda: len({frame.track_id for _, frame in bot.listener.frames}) == 2, "both tracks"
            )
            began = time.monotonic()
            await on_road(bot, True)
            [first] = here.worker.running
            changed = time.monotonic()
            await bot.listener.until(lambda: _names(bot, changed) == {"ana", "ben"}, "both were seen to speak")
            frames = len(bot.listener.frames)
            await bot.listener.until(lambda: len(bot.listener.frames) > frames + 60, "the mix goes on")
            assert {frame.track_id for _, frame in bot.listener.frames[frames:]} == {room_egress.TRACK_ID}
            check_each_moment_once(bot, began, time.monotonic() - 3)

            for guest in guests.values():
                guest.mute()
            await bot.listener.until(lambda: bot.listener.muted == {room_egress.TRACK_ID}, "all are muted", 20)
            guests["ana"].unmute()
            await bot.listener.until(lambda: not bot.listener.muted, "one is not")
            guests["ben"].unmute()

            dropped = time.monotonic()
            await here.worker.drop(first)
            await on_road(bot, False)
            assert time.monotonic() - dropped < 2.5
            await on_road(bot, True)
            assert here.worker.jobs.keys() - {first} == set(here.worker.running)
            check_each_moment_once(bot, dropped + 4, time.monotonic() - 3)

            alone = time.monotonic()
            await guests["ben"].leave()
            await on_road(bot, False)
            await eventually(lambda: not here.worker.running, 20)
            await bot.listener.until(lambda: room_egress.TRACK_ID not in bot.listener.owner, "no mix")
            check_each_moment_once(bot, alone, time.monotonic() - 1)
            assert await bot.leaves() < 2.0


def _names(bot: Attending, since: float) -> set[str]:
    """Who was reported speaking alone."""
    reports = [e for at, e in bot.listener.events if isinstance(e, ev.ActiveSpeakers) and at >= since]
    return {next(iter(report.participant_ids)) for report in reports if len(report.participant_ids) == 1}


@pytest.mark.parametrize("trouble", ["never starts", "falls silent", "no worker", "limit", "wrong key"])
async def test_egress_that_cannot_be_had(trouble: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the mode is composite the bot ends with `egress_unavailable`, and leaves no egress and no lease."""
    monkeypatch.setattr(router, "CROWD_S", 0.5)
    monkeypatch.setattr(router, "START_TIMEOUT_S", 5.0)
    monkeypatch.setattr(router, "BUDGET_TIMEOUT_S", 1.0)
    monkeypatch.setattr(egress, "CALL_TIMEOUT_S", 2.5)
    changes: dict[str, Any] = {"limit": 0} if trouble == "limit" else {}
    changes |= {"secret": secrets.token_hex(16)} if trouble == "wrong key" else {}
    workers = 0 if trouble == "no worker" else 1
    async with stage(workers=workers) as here, company(here.server, "ana", "ben"):
        here.worker.starts = trouble != "never starts"
        async with attending(LiveKit(), here.invitation("composite", **changes), PATIENCE_S) as bot:
            if trouble == "falls silent":
                await eventually(lambda: here.worker.running, 20)
                await here.worker.cut(here.worker.running[0])
            with pytest.raises(EarshotError, match=r"`livekit\.mode` is composite") as failure:
                await bot.ends(40)
            await eventually(lambda: not here.worker.running, 20)  # its process is ours
        assert failure.value.code is SubCode.EGRESS_UNAVAILABLE
        await eventually(lambda: set(here.worker.jobs) == set(here.worker.stopped) | _over(here), 20)
        lease = Lease(here.redis_url, "livekit-egress", "somebody else", 1)
        assert await lease.ask()
        await lease.give_back()


async def test_webhook_hurries_the_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server says that an egress has failed whose sound goes on: the bot looks at once, not when it would have."""
    monkeypatch.setattr(router, "CROWD_S", 0.5)
    monkeypatch.setattr(room_egress, "LOOK_INTERVAL_S", 600.0)
    port = free_port()
    hooks = {"webhook_url": f"http://127.0.0.1:{port}/", "webhook_listen": f"127.0.0.1:{port}"}
    async with stage() as here, company(here.server, "ana", "ben"):  # noqa: SIM117
        async with attending(LiveKit(), here.invitation("composite", **hooks), PATIENCE_S) as bot:
            await eventually(lambda: here.worker.running, 20)
            [egress_id] = here.worker.running
            await here.worker.tell(egressId=egress_id, status="EGRESS_FAILED", error="out of memory")
            with pytest.raises(EarshotError, match="the egress is over: failed out of memory"):
                await bot.ends(20)
            await here.worker.cut(egress_id)


def _over(here: Stage) -> set[str]:
    """Jobs that ended by themselves."""
    return set(here.worker.jobs) - set(here.worker.running)


async def test_what_a_dead_bot_left_behind_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """An egress of this very bot, which was killed and started again, ends before it has another."""
    monkeypatch.setattr(router, "CROWD_S", 1.0)
    async with stage(workers=2) as here, company(here.server, "ana", "ben"):
        api = EgressApi(here.server.url, here.server.api_key, here.server.api_secret)
        orphan = await api.start_room_composite(ROOM, here.rtmp.url("bot-1", "publish"), "bot-1")
        other = await api.start_room_composite(ROOM, here.rtmp.url("else", "publish"), "bot-2")
        for one in (orphan, other):
            await becomes(api, one.egress_id, EgressState.ACTIVE)
        await api.close()
        async with attending(LiveKit(), here.invitation(), PATIENCE_S) as bot:
            await eventually(lambda: orphan.egress_id in here.worker.stopped, 20)
            assert other.egress_id not in here.worker.stopped
            await bot.leaves()


async def test_egress_that_drops_out_in_mid_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who speaks goes on sending on their own track while the mix is in charge: what the mix had not said when it ended
    is heard there, and nothing of the sentence is lost. Who is silent sends nothing."""
    monkeypatch.setattr(router, "CROWD_S", 1.0)
    async with stage(latency=1.5) as here, company(here.server, "ana", "ben") as guests:  # noqa: SIM117
        async with attending(LiveKit(), here.invitation(), PATIENCE_S) as bot:
            async with talking(guests):
                await on_road(bot, True)
            frames, sentence = len(bot.listener.frames), np.concatenate([load_clip("ana1", Path()).pcm] * 4)
            speaking = asyncio.create_task(guests["ana"].speak(sentence))
            began = time.monotonic()
            await asyncio.sleep(4.0)
            assert {frame.track_id for _, frame in bot.listener.frames[frames:]} == {room_egress.TRACK_ID}
            dropped = time.monotonic()
            await here.worker.drop(here.worker.running[0])
            await on_road(bot, False)
            await speaking
            check_each_moment_once(bot, began + 1.5, dropped + 3.0)
            assert await bot.leaves() < 2.0
