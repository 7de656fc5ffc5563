"""What clients that have left leave in the transcriber: objects, not megabytes, which depend on the allocator."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from common.whisperlive.protocol import END_OF_AUDIO
from tests.integration.transcriber.test_health import OURS, tones_are_speech
from tests.support.fakes.scripted_engine import tone
from tests.support.servers.whole_service import running
from tests.support.transcribing import Client, talking
from transcriber.websocket.admission import GuardedConnection

__all__ = ["tones_are_speech"]
pytestmark = [pytest.mark.processes, pytest.mark.slow]


@contextmanager
def no_collections() -> Iterator[None]:
    """What only the garbage collector would find stays."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def objects() -> Counter[str]:
    """Ours, by type; without the socket, which in websockets is a cycle."""
    kinds = (type(it) for it in gc.get_objects() if type(it) is not GuardedConnection)
    return Counter(kind.__qualname__ for kind in kinds if str(kind.__module__).startswith("transcriber."))


async def leave(client: Client, how: str) -> None:
    """In one of the ways there are."""
    match how:
        case "END_OF_AUDIO":
            await client.socket.send(END_OF_AUDIO)
            await client.rest()
        case "close":
            await client.socket.close()
        case "abort":
            client.socket.transport.abort()
        case "nonsense":
            for _ in range(10):
                await client.socket.send("nonsense")
            await client.rest()


async def test_no_object_of_ours_is_left_of_a_client_however_it_left() -> None:
    """Its session has up to two megabytes of audio: that goes with it, and waits for no garbage collection."""
    async with running() as at:
        for how in ("END_OF_AUDIO", "close", "abort", "nonsense"):
            with no_collections():
                before = objects()
                for _ in range(3):
                    async with talking(at.url, OURS) as client:
                        await client.say(tone("alpha"))
                        await leave(client, how)
                    del client
                for _ in range(100):
                    if not (left := objects() - before):
                        break
                    await asyncio.sleep(0.02)
                assert not left, f"after {how}"


@pytest.fixture
def as_in_a_process_of_its_own() -> Iterator[None]:
    """Python's own thresholds: the tests' are higher."""
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("as_in_a_process_of_its_own")
async def test_full_collections_are_short_and_come_every_few_hundred_clients() -> None:
    """They look at what came after the start only. What outlives the smaller ones would else stay for thousands."""
    before = gc.get_threshold()
    async with running() as at:
        assert len(gc.get_objects()) < 10_000
        made = gc.get_stats()[2]["collections"]
        for _ in range(400):
            async with talking(at.url, OURS):
                pass
        assert gc.get_stats()[2]["collections"] > made
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
