"""Waiting for Redis, and the words for what goes wrong with it."""

from __future__ import annotations

import asyncio

import pytest
import redis.exceptions as errors

from common.cancellation import checkpoint
from common.redis import address, backoff, explain, refused


def test_backoff_doubles_up_to_two_seconds_with_full_jitter() -> None:
    """0.1 s first, 2 s at most, any part of it."""
    assert [backoff(tries, lambda: 1.0) for tries in (0, 1, 2, 10, 10_000)] == [0.1, 0.2, 0.4, 2.0, 2.0]
    assert backoff(5, lambda: 0.0) == 0.0


@pytest.mark.parametrize(
    ("error", "words", "final"),
    [
        (errors.AuthenticationError("Authentication required."), "wants a password", True),
        (errors.AuthenticationError("invalid username-password pair"), "refused our user or password", True),
        (errors.NoPermissionError("no permissions to run 'eval'"), "may not run", True),
        (errors.BusyLoadingError("loading"), "still loading", False),
        (errors.ReadOnlyError("READONLY"), "read-only replica", False),
        (errors.InvalidResponse("HTTP"), "does not speak", True),
        (errors.TimeoutError(), "no answer within 1 s", False),
        (TimeoutError(), "no answer within 1 s", False),
        (errors.ConnectionError("Connection refused."), "Connection refused", False),
        (OSError(), "OSError", False),
    ],
)
def test_errors_in_words(error: Exception, words: str, final: bool) -> None:
    """Each failure says what it is, and whether waiting may help."""
    assert words in explain(error)
    assert refused(error) is final


def test_addresses_have_no_credentials() -> None:
    """What is printed names host and port."""
    assert address("redis://u:p@h/1") == "h:6379"
    assert address("rediss://h:1") == "h:1"
    assert address("unix:///run/redis.sock?db=1") == "/run/redis.sock"


async def test_a_forgotten_cancellation_is_remembered(virtual_time: None) -> None:
    """A task whose cancellation was swallowed ends at its next checkpoint."""

    async def swallows() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            checkpoint_reached.set()
        checkpoint()
        raise AssertionError("the cancellation was forgotten")

    checkpoint_reached = asyncio.Event()
    task = asyncio.create_task(swallows())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert checkpoint_reached.is_set()
    assert task.cancelled()
