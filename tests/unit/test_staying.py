"""What stays open over several tests, and what becomes of it where they end early."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from tests.support.staying import staying


class Thing:
    """Something that opens in so many seconds."""

    def __init__(self) -> None:
        self.done: list[str] = []

    @asynccontextmanager
    async def open(self, seconds: float = 0.0, failure: Exception | None = None) -> AsyncIterator[Thing]:
        """Says what becomes of it."""
        try:
            await asyncio.sleep(seconds)
            if failure is not None:
                raise failure
            self.done.append("open")
            yield self
        finally:
            self.done.append("closed")

    async def ask(self, seconds: float = 0.0) -> int:
        """Answers after so many seconds."""
        await asyncio.sleep(seconds)
        return 42


@contextmanager
def interrupted() -> Iterator[None]:
    """Soon, as by Ctrl-C: an exception in the main thread, whatever that is at."""
    before = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    soon = threading.Timer(0.1, signal.pthread_kill, [threading.get_ident(), signal.SIGUSR1])
    soon.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        soon.join()
        signal.signal(signal.SIGUSR1, before)


def test_it_is_open_until_the_end() -> None:
    """And answers on its own loop."""
    thing = Thing()
    with staying(thing.open()) as (opened, ask):
        assert ask(opened.ask()) == 42
        assert thing.done == ["open"]
    assert thing.done == ["open", "closed"]


def test_what_does_not_open_says_why() -> None:
    """In the test that wants it first."""
    with pytest.raises(ConnectionError, match="no way"), staying(Thing().open(failure=ConnectionError("no way"))):
        pass


def test_a_test_that_is_interrupted_while_it_opens_does_not_wait_for_ever() -> None:
    """The opening is given up: nobody would ever close it, and the run would hang at its end."""
    thing = Thing()
    with interrupted(), staying(thing.open(60)):
        pass
    assert thing.done == ["closed"]


def test_a_test_that_is_interrupted_while_it_asks_closes_it() -> None:
    """What it has asked for is given up with it."""
    thing = Thing()
    with interrupted(), staying(thing.open()) as (opened, ask):
        ask(opened.ask(60))
    assert thing.done == ["open", "closed"]
