"""The link to the manager beside strict stand-ins of three generations, over real HTTP: order, faults, one end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, get_args

import pytest
import structlog

from bot.links import callbacks
from bot.links.callbacks import CallbackLink
from common.contracts.callbacks import is_signed
from common.contracts.events import HealthEvent, StatusEvent
from common.contracts.generations import callback_target
from common.contracts.status import MEANINGS, State, SubCode
from common.contracts.times import iso_utc
from common.errors import EarshotError
from tests.support.servers.stand_in_manager import Fault, Generation, Row, StandInManager, served
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

GENERATIONS = get_args(Generation)
SECRET = "canary-internal-secret"
ON_THE_WAY = (State.JOINING, State.AWAITING_ADMISSION, State.ACTIVE)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses and limits of a meeting, shorter."""
    monkeypatch.setattr(callbacks, "PAUSES_S", (0.02, 0.05))
    monkeypatch.setattr(callbacks, "UNKNOWN_PAUSE_S", 0.02)
    monkeypatch.setattr(callbacks, "OPEN_TIMEOUT_S", 0.5)
    monkeypatch.setattr(callbacks, "TRY_TIMEOUT_S", 1.0)
    monkeypatch.setattr(callbacks, "SETTLE_S", 0.1)


@pytest.fixture
def lines() -> Iterator[list[MutableMapping[str, Any]]]:
    """What is logged."""
    with structlog.testing.capture_logs() as found:
        yield found


def event(state: State, code: SubCode | None = None, stage: State | None = None, detail: str = "") -> dict[str, Any]:
    """A status event as the reporting hands it over."""
    now = iso_utc(time.time())
    return StatusEvent("bot-1", 42, "vexa-bot-42", state, now, detail, code, stage).as_json()


def end(code: SubCode = SubCode.LEFT_BY_COMMAND, stage: State = State.ACTIVE) -> dict[str, Any]:
    """The terminal one."""
    return event(State.COMPLETED if MEANINGS[code].completed else State.FAILED, code, stage)


@asynccontextmanager
async def telling(manager: StandInManager, secret: str | None = SECRET) -> AsyncIterator[CallbackLink]:
    """A link that is served, to this manager."""
    target = callback_target(
        manager.settings.get("botManagerCallbackUrl"), manager.settings.get("meetingApiCallbackUrl")
    )
    assert target is not None
    link = CallbackLink(target, secret, [SECRET], random=lambda: 1.0)
    task = asyncio.create_task(link.run())
    await asyncio.sleep(0)
    try:
        yield link
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await link.close()


async def meet(link: CallbackLink, manager: StandInManager) -> None:
    """Tells a meeting up to `active`."""
    for state in ON_THE_WAY:
        link.status(event(state))
    await eventually(lambda: link._plan.next is None)
    assert manager.row.status == "active"


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_a_meeting_as_the_manager_writes_it_down(generation: Generation) -> None:
    """Each status once and in order; the container stays known; the end has its reason."""
    async with served(StandInManager(generation)) as manager, telling(manager) as link:
        await link.open()
        await meet(link, manager)
        link.status(HealthEvent("bot-1", "transcriber", False, "it answers nothing", iso_utc(0)).as_json())
        link.status(end())
        assert await link.flush(2.0) == 0
        assert manager.row.moves == ["joining", "awaiting_admission", "active", "completed"]
        assert manager.row.completion_reason == "stopped"
        assert [request.answered for request in manager.received] == [200] * 4
        assert [request.value.get("unhealthy") for request in manager.received] == [None, None, None, ["transcriber"]]
        assert {request.value["container_id"] for request in manager.received} == {"vexa-bot-42"}
        if generation == "v0.6":
            assert manager.row.container_id == "vexa-bot-42"


async def test_what_does_not_work_is_what_does_not_work_now() -> None:
    """Lost speech is news and no state, and a room full of dead microphones hides nothing else."""
    async with served(StandInManager("v0.12")) as manager, telling(manager) as link:
        broken = [
            "gap:t",
            *(f"track:{number}" for number in range(2 * callbacks.MAX_UNHEALTHY_SUBJECTS)),
            "transcriber",
        ]
        for subject in broken:
            link.status(HealthEvent("bot-1", subject, False, "it does not work", iso_utc(0)).as_json())
        link.status(event(State.JOINING))
        await eventually(lambda: bool(manager.received))
        told = manager.received[0].value["unhealthy"]
        assert told == [*broken[1 : callbacks.MAX_UNHEALTHY_SUBJECTS + 1], "transcriber"]


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_a_receiver_can_check_who_says_it(generation: Generation) -> None:
    """Signed over the raw bytes; the plain secret only where the wire has it; one id for each status."""
    async with served(StandInManager(generation)) as manager, telling(manager) as link:
        await meet(link, manager)
        for request in manager.received:
            assert is_signed(request.headers, request.body, SECRET, time.time())
            assert request.headers.get("x-internal-secret") == (SECRET if generation == "v0.12" else None)
            assert request.headers["content-type"] == "application/json"
        assert len({request.headers["webhook-id"] for request in manager.received}) == 3


async def test_without_a_secret_there_is_neither_header_nor_signature() -> None:
    """Older managers configure none."""
    async with served(StandInManager("v0.12")) as manager, telling(manager, secret=None) as link:
        await meet(link, manager)
        assert not {"x-internal-secret", "webhook-signature"} & {*manager.received[0].headers}


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("stage", [*ON_THE_WAY, None])
async def test_every_end_is_taken(generation: Generation, stage: State | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the meeting, in the lobby, and as the very first event: no 409, no 422, exactly one end."""
    monkeypatch.setattr(callbacks, "SETTLE_S", 0.0)
    async with served(StandInManager(generation)) as manager:
        for code in SubCode:
            manager.rows["bot-1"] = Row()
            async with telling(manager) as link:
                for state in ON_THE_WAY[: ON_THE_WAY.index(stage) + 1] if stage else ():
                    link.status(event(state))
                link.status(end(code, stage) if stage else event(State.FAILED, code))
                await link.flush(3.0)
            assert manager.row.status in ("completed", "failed")
            assert len([move for move in manager.row.moves if move in ("completed", "failed")]) == 1
        assert {request.answered for request in manager.received} == {200}


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_a_manager_that_is_restarted_learns_everything(
    generation: Generation, lines: list[MutableMapping[str, Any]]
) -> None:
    """What it missed comes in order when it is back; how often it was tried is not in the log."""
    manager = StandInManager(generation)
    async with served(manager):
        pass
    changes: list[bool] = []
    async with telling(manager) as link:
        link._on_change = lambda up, _: changes.append(up)
        for state in ON_THE_WAY:
            link.status(event(state))
        await asyncio.sleep(0.3)
        async with served(manager):
            await eventually(lambda: manager.row.status == "active")
        assert manager.row.moves == ["joining", "awaiting_admission", "active"]
        assert changes == [False, True]
    assert [line["event"] for line in lines] == ["callback.lost"] + ["callback.taken"] * 3


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("fault", ["500", "429", "lost", "silent", "drip"])
async def test_a_try_that_failed_is_made_again_under_the_same_id(
    generation: Generation, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors that pass, and a reply that was lost: the manager did what it was told, and is told once more."""
    monkeypatch.setattr(callbacks, "TRY_TIMEOUT_S", 0.3)
    async with served(StandInManager(generation)) as manager, telling(manager) as link:
        manager.faults.extend([fault, None, fault, None, fault, None])
        await meet(link, manager)
        await eventually(lambda: len(manager.received) == 6)
        assert manager.row.moves == ["joining", "awaiting_admission", "active"]
        ids = [request.headers["webhook-id"] for request in manager.received]
        assert ids[0::2] == ids[1::2]


@pytest.mark.parametrize("generation", ["v0.6", "v0.10"])
async def test_a_row_that_is_written_a_moment_later(generation: Generation) -> None:
    """The manager starts the container first: `joining` can lose that race."""
    manager = StandInManager(generation, rows={})
    async with served(manager), telling(manager) as link:
        link.status(event(State.JOINING))
        await eventually(lambda: len(manager.received) == 2)
        manager.rows.update(StandInManager(generation).rows)
        await eventually(lambda: manager.row.status == "joining")


@pytest.mark.parametrize("generation", ["v0.6", "v0.10"])
async def test_a_row_that_is_written_after_a_restart(generation: Generation) -> None:
    """Nobody has heard of `joining` while the manager was away: that it then knows no such bot yet is no answer."""
    manager = StandInManager(generation)
    async with served(manager):
        pass
    rows, manager.rows = manager.rows, {}
    async with telling(manager) as link:
        link.status(event(State.JOINING))
        await eventually(lambda: not link._up)
        async with served(manager):
            await eventually(lambda: len(manager.received) == 2)
            manager.rows.update(rows)
            await eventually(lambda: manager.row.status == "joining")


@pytest.mark.parametrize("generation", ["v0.6", "v0.10"])
async def test_a_row_that_never_comes_is_not_waited_for(
    generation: Generation, lines: list[MutableMapping[str, Any]]
) -> None:
    """After a few tries the next status has its turn: that one may be known."""
    async with served(StandInManager(generation, rows={})) as manager, telling(manager) as link:
        link.status(event(State.JOINING))
        link.status(event(State.AWAITING_ADMISSION))
        await eventually(lambda: len(manager.received) == 2 * callbacks.UNKNOWN_TRIES)
        await eventually(lambda: len(lines) == 2)
        assert {line["event"] for line in lines} == {"callback.refused"}


async def test_a_status_that_a_manager_fails_at_does_not_keep_it_from_the_others(
    monkeypatch: pytest.MonkeyPatch, lines: list[MutableMapping[str, Any]]
) -> None:
    """After a while the next one has its turn: the error may be about this one alone."""
    monkeypatch.setattr(callbacks, "FAILING_BUDGET_S", 0.2)
    async with served(StandInManager("v0.10")) as manager, telling(manager) as link:
        manager.always = "500"
        link.status(event(State.JOINING))
        await eventually(lambda: any(line["event"] == "callback.refused" for line in lines))
        manager.always = None
        link.status(end(stage=State.JOINING))
        await link.flush(2.0)
        assert manager.row.moves == ["completed"]


async def test_a_manager_that_failed_at_the_admission_takes_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row is still joining when it is well again, and from there v0.12 takes no `completed`."""
    monkeypatch.setattr(callbacks, "FAILING_BUDGET_S", 0.2)
    async with served(StandInManager("v0.12")) as manager, telling(manager) as link:
        link.status(event(State.JOINING))
        await eventually(lambda: manager.row.moves == ["joining"])
        with structlog.testing.capture_logs() as lines:
            manager.always = "500"
            link.status(event(State.AWAITING_ADMISSION))
            link.status(event(State.ACTIVE))
            await eventually(lambda: [line["event"] for line in lines].count("callback.refused") == 2)
        manager.always = None
        link.status(end(SubCode.LEFT_ALONE))
        await link.flush(2.0)
        assert manager.row.moves == ["joining", "active", "completed"]


@pytest.mark.parametrize("fault", ["redirect", "gone"])
async def test_what_is_refused_is_not_tried_again(fault: Fault, lines: list[MutableMapping[str, Any]]) -> None:
    """Redirects are not followed, wherever they lead; the log says what was answered, and the next status is told."""
    async with served(StandInManager("v0.10")) as manager, telling(manager) as link:
        manager.faults.append(fault)
        link.status(event(State.JOINING))
        await eventually(lambda: bool(lines))
        assert len(manager.received) == 1
        assert lines[0]["event"] == "callback.refused"
        assert ("redirect" if fault == "redirect" else "410") in lines[0]["answer"]
        link.status(end(stage=State.JOINING))
        await link.flush(2.0)
        assert manager.row.moves == ["completed"]


async def test_who_refuses_everything_is_not_flooded(lines: list[MutableMapping[str, Any]]) -> None:
    """A route that is gone: the end is told by each of its two ways, once, with time to spare."""
    async with served(StandInManager("v0.12")) as manager, telling(manager) as link:
        manager.always = "gone"
        link.status(event(State.JOINING))
        await eventually(lambda: len(lines) == 1)
        link.status(end(stage=State.JOINING))
        await link.flush(2.0)
        assert [line["status"] for line in lines] == ["joining", *("joining", "failed") * 2]
        assert {line["event"] for line in lines} == {"callback.refused"}


async def test_somebody_has_stopped_the_bot_there() -> None:
    """It is not interested in what the bot does until it has left."""
    async with served(StandInManager("v0.10")) as manager, telling(manager) as link:
        link.status(event(State.JOINING))
        await eventually(lambda: manager.row.status == "joining")
        manager.row.stop_requested = True
        link.status(event(State.AWAITING_ADMISSION))
        link.status(event(State.ACTIVE))
        await eventually(lambda: len(manager.received) == 3)
        link.status(end())
        await link.flush(2.0)
        assert manager.row.moves == ["joining", "completed"]


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("fault", get_args(Fault))
async def test_the_end_has_its_time_and_no_more(
    generation: Generation, fault: Fault, lines: list[MutableMapping[str, Any]]
) -> None:
    """Whatever the manager does from the moment on at which the bot is in the meeting: at most one end, and in time."""
    async with served(StandInManager(generation)) as manager, telling(manager) as link:
        await meet(link, manager)
        manager.always = fault
        link.status(end())
        started = time.monotonic()
        assert await link.flush(0.6) == 0
        assert time.monotonic() - started < 1.5
        ended = [move for move in manager.row.moves if move == "completed"]
        assert len(ended) == (fault in ("lost", "drip", "huge"))
        if fault == "huge":
            assert lines[-1]["event"] == "callback.taken"
        else:
            assert lines[-1]["event"] in ("callback.end_not_told", "callback.refused")
        assert SECRET not in str(lines)


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_an_end_comes_while_an_earlier_status_hangs(generation: Generation) -> None:
    """The manager did not answer `active` yet: its answer is not waited for."""
    async with served(StandInManager(generation)) as manager, telling(manager) as link:
        link.status(event(State.JOINING))
        link.status(event(State.AWAITING_ADMISSION))
        await eventually(lambda: manager.row.status == "awaiting_admission")
        manager.faults.append("silent")
        link.status(event(State.ACTIVE))
        await eventually(lambda: len(manager.received) == 3)
        link.status(end())
        await link.flush(2.0)
        assert manager.row.status == "completed"


async def test_an_end_without_a_meeting_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a transcript has to be counted first."""
    async with served(StandInManager("v0.12")) as manager, telling(manager) as link:
        link.status(event(State.JOINING))
        started = time.monotonic()
        monkeypatch.setattr(callbacks, "SETTLE_S", 5.0)
        link.status(end(SubCode.JOIN_REFUSED, State.JOINING))
        await link.flush(4.0)
        assert time.monotonic() - started < 3.0
        assert manager.row.completion_reason == "awaiting_admission_rejected"


async def test_the_end_of_a_meeting_comes_when_collectors_have_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment later; but in what is left of the shutdown."""
    async with served(StandInManager("v0.12")) as manager, telling(manager) as link:
        await meet(link, manager)
        monkeypatch.setattr(callbacks, "SETTLE_S", 0.4)
        started = time.monotonic()
        link.status(end())
        await link.flush(2.0)
        assert time.monotonic() - started >= 0.4
    async with served(StandInManager("v0.12")) as manager, telling(manager) as link:
        await meet(link, manager)
        monkeypatch.setattr(callbacks, "SETTLE_S", 60.0)
        link.status(end())
        await link.flush(callbacks.MIN_TRY_S + 0.2)
        assert manager.row.status == "completed"


async def test_a_manager_that_cannot_be_reached_is_named() -> None:
    """At the start: which URL, why, what to do; nothing of its query."""
    manager = StandInManager("v0.12")
    async with served(manager):
        pass
    target = callback_target(None, manager.url + "?key=canary-in-a-url")
    assert target is not None
    link = CallbackLink(target)
    with pytest.raises(EarshotError) as caught:
        await link.open()
    await link.close()
    assert caught.value.code is SubCode.CALLBACK_UNREACHABLE
    assert f"127.0.0.1:{manager.port}" in str(caught.value)
    assert "refused" in str(caught.value)
    assert "canary" not in str(caught.value)
