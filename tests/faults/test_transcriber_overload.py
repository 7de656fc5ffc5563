"""More work than the engine can do: partials are shed, no word is lost, nothing counts as ill, soon all is well.

Two minutes of twice as much in virtual time, and fifteen seconds over real sockets; a slow engine with a minute's work.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import numpy as np
import pytest

from common.whisperlive.protocol import EXTENSIONS, SAMPLE_RATE, Handshake, WireSegment
from tests.support.fakes.scripted_engine import TONES, ScriptedEngine, silence, speech_probabilities, tone
from tests.support.transcribing import Client, serving, talking
from tests.support.waiting import eventually
from transcriber.core.limits import WarmUp, fitting
from transcriber.core.session import StreamSession
from transcriber.core.windows import Hypothesis, Window
from transcriber.metrics import Metrics
from transcriber.worker import Worker

pytestmark = pytest.mark.slow
FRAME = 1600
COST = 0.19
"""Seconds that a pass takes: four streams with all their partials keep the engine busy, fifteen with finals alone."""
WORDS = list(TONES.values())


class Costly:
    """A decoder that takes its time."""

    name, languages, batch, parallel = "scripted", frozenset({"en"}), 1, 1
    is_up, is_failing, falls_together = True, False, False
    full_batch, longest_window = 1, 30.0

    def __init__(self, cost: float = COST) -> None:
        self._engine = ScriptedEngine()
        self._cost = cost
        self.limits = fitting(WarmUp(start=10, short=cost, full=cost))

    async def decode(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """One hypothesis per window."""
        await asyncio.sleep(self._cost)
        return self._engine.transcribe(windows)


@dataclass
class Stream:
    """Somebody who speaks for 2 s of every 3, and what they get."""

    worker: Worker
    number: int
    said: list[str] = field(default_factory=list)
    finals: list[str] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    partials: list[float] = field(default_factory=list)
    ended_at: float = 0.0

    def show(self, segments: list[WireSegment]) -> None:
        """Listens."""
        now = asyncio.get_running_loop().time()
        for segment in segments:
            if segment.completed:
                self.finals.append(segment.text.strip())
                self.late.append(now - self.ended_at)
            else:
                self.partials.append(now)

    def lose(self, start: float, end: float) -> None:
        """Nothing may be given up."""
        raise AssertionError(f"lost {start} to {end}")

    async def speak(self, seconds: float) -> None:
        """In real time, until `seconds` are over and everything is decided."""
        loop = asyncio.get_running_loop()
        session = StreamSession(Handshake(f"s{self.number}", language="en"), speech_probabilities, EXTENSIONS)
        self.worker.add(session, self)
        await asyncio.sleep(0.31 * self.number)
        at, end = 0, loop.time() + seconds
        while loop.time() < end:
            words = [WORDS[(len(self.said) + self.number + n) % len(WORDS)] for n in range(2)]
            for samples in np.split(np.concatenate([*(tone(word, 1.0) for word in words), silence(1)]), 30):
                if session.hear(at, samples, loop.time()):
                    self.worker.poke(session)
                at += FRAME
                await asyncio.sleep(0.1)
            self.said.append(" ".join(words))
            session.end_utterance(at, loop.time())
            self.ended_at = loop.time()
            self.worker.poke(session)
        await asyncio.sleep(5)
        assert session.is_settled
        self.worker.remove(session)


@pytest.mark.timeout(60)
async def test_two_minutes_of_twice_the_load(virtual_time: None) -> None:
    """All finals, in time; fewer partials meanwhile; everything again less than ten seconds after."""
    loop = asyncio.get_running_loop()
    decoder = Costly()
    worker = Worker(decoder, Metrics())
    working = asyncio.create_task(worker.run())
    began = loop.time()
    streams = [Stream(worker, number) for number in range(8)]
    levels: list[tuple[float, int]] = []

    async def watch() -> None:
        while True:
            levels.append((loop.time() - began, worker.level))
            await asyncio.sleep(0.5)

    watching = asyncio.create_task(watch())
    alone = asyncio.create_task(streams[0].speak(160))
    await asyncio.gather(*(stream.speak(120) for stream in streams[1:]))
    over = loop.time() - began
    await alone
    for task in (working, watching):
        task.cancel()
    await asyncio.gather(working, watching, return_exceptions=True)
    assert [stream.finals for stream in streams] == [stream.said for stream in streams]
    assert max(level for _, level in levels) >= 1
    assert max(at for at, level in levels if level) < over + 10
    assert np.percentile([late for stream in streams for late in stream.late], 95) < 1.0
    during, after = (
        sum(first + began <= at < last + began for at in streams[0].partials) / (last - first)
        for first, last in ((30, 120), (over + 10, 160))
    )
    assert 0 < during < 0.9 * after


async def test_eight_streams_on_a_slow_engine_are_late_and_not_ill(virtual_time: None) -> None:
    """2.5 s a call and three utterances each at once: passes wait for a minute, and results come all the time."""
    loop = asyncio.get_running_loop()
    decoder = Costly(2.5)
    worker = Worker(decoder, Metrics())
    working = asyncio.create_task(worker.run())
    streams = [Stream(worker, number) for number in range(8)]
    sessions = [
        StreamSession(Handshake(f"s{s.number}", language="en"), speech_probabilities, EXTENSIONS) for s in streams
    ]
    for stream, session in zip(streams, sessions, strict=True):
        worker.add(session, stream)
        for n, word in enumerate(WORDS[:3]):
            session.hear(n * SAMPLE_RATE, tone(word, 1.0), loop.time())
            session.end_utterance((n + 1) * SAMPLE_RATE, loop.time())
        worker.poke(session)
    waited, unanswered = [], []
    while not all(session.is_settled for session in sessions):
        await asyncio.sleep(0.5)
        waited.append(worker.oldest_wait(loop.time()))
        unanswered.append(worker.unanswered(loop.time()))
        assert not worker.is_stalled(loop.time())
    assert [stream.finals for stream in streams] == [WORDS[:3]] * 8
    assert max(waited) > decoder.limits.answer
    assert max(unanswered) <= 2.5
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


class Slow(ScriptedEngine):
    """An engine that takes its time."""

    def transcribe(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """One hypothesis per window."""
        time.sleep(COST)
        return super().transcribe(windows)


async def converse(client: Client, number: int) -> list[str]:
    """Speaks for 2 s of every 3, in real time; what was said."""
    said = []
    await asyncio.sleep(0.31 * number)
    for turn in range(5):
        words = [WORDS[(turn + number + n) % len(WORDS)] for n in range(2)]
        for frame in np.split(np.concatenate([*(tone(word, 1.0) for word in words), silence(1)]), 30):
            await client.say(frame)
            await asyncio.sleep(0.1)
        said.append(" ".join(words))
        end = await client.end_utterance()
    await client.acked(end, timeout=10)
    return said


@pytest.mark.timeout(60)
async def test_twice_the_load_over_real_sockets() -> None:
    """All finals; less is done meanwhile, and everything again less than ten seconds after."""
    async with serving(Slow()) as at, AsyncExitStack() as stack:
        hellos = [Handshake(f"s{number}", language="en", extensions=EXTENSIONS) for number in range(10)]
        clients = [await stack.enter_async_context(talking(at.url, hello)) for hello in hellos]
        speaking = asyncio.gather(*(converse(client, number) for number, client in enumerate(clients)))
        await eventually(lambda: at.worker.level > 0, 15)
        said = await speaking
        assert [client.text for client in clients] == said
        await eventually(lambda: at.worker.level == 0, 10)
