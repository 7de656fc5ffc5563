"""Tasks of a bot: each one's end is heard of, and in the end none is left, or it is named."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from bot.tasks import Tasks
from common.contracts.status import SubCode
from common.errors import EarshotError


async def works(failure: BaseException | None = None) -> None:
    """Ends after a second."""
    await asyncio.sleep(1)
    if failure is not None:
        raise failure


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (None, []),
        (EarshotError(SubCode.REDIS_UNREACHABLE, "nobody"), [(SubCode.REDIS_UNREACHABLE, "nobody")]),
        (KeyError("a name"), [(SubCode.INTERNAL_ERROR, "a bug in the bot (timers), see the log")]),
        (
            asyncio.CancelledError(),
            [(SubCode.INTERNAL_ERROR, "a bug in the bot (timers was cancelled from within), see the log")],
        ),
    ],
    ids=["returns", "fails", "has a bug", "is cancelled by somebody else"],
)
async def test_whatever_ends_one_is_heard(
    virtual_time: None, failure: BaseException | None, told: list[tuple[SubCode, str]]
) -> None:
    """A failure by its sub-code, everything else as a bug, without its words."""
    failed: list[tuple[SubCode, str]] = []
    tasks = Tasks(lambda code, words: failed.append((code, words)))
    with capture_logs() as logged:
        await asyncio.wait({tasks.start(works(failure), "timers")})
    assert failed == told
    assert len(logged) == (told != [] and told[0][0] is SubCode.INTERNAL_ERROR)


async def test_at_the_end_a_cancelled_task_is_no_bug_and_one_that_stays_is_named(virtual_time: None) -> None:
    """By name one, then all of them and somebody else's."""
    failed: list[SubCode] = []
    tasks = Tasks(lambda code, _: failed.append(code))

    async def refuses() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(5)

    starting, other = tasks.start(works(), "start"), asyncio.create_task(works())
    stubborn = tasks.start(refuses(), "stubborn")
    tasks.are_ending = True
    await asyncio.sleep(0)
    tasks.cancel("start")
    await asyncio.wait({starting})
    assert starting.cancelled()
    assert not stubborn.done()
    with capture_logs() as logged:
        await tasks.close(other, None, within=0.5)
    assert other.cancelled()
    assert logged == [{"event": "bot.stuck", "log_level": "error", "tasks": ["stubborn"]}]
    assert not failed
    await stubborn
    await tasks.close(within=0.5)
