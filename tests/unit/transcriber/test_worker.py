"""The worker in virtual time: what one window, or one engine of one's own, can do to the others."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from common.whisperlive.protocol import EXTENSIONS, Handshake, WireSegment
from tests.support.servers.served import SECOND, loud, silence, speech
from tests.support.waiting import eventually
from transcriber.core.limits import TimeLimits
from transcriber.core.load import FINALS_ONLY_EFFORT
from transcriber.core.recording import RecordingChannel
from transcriber.core.transcript import DecodeJob
from transcriber.core.windows import Hypothesis, Reading, Window, Word
from transcriber.engine.base import EngineLost
from transcriber.metrics import Metrics
from transcriber.windowed import WindowedSession
from transcriber.worker import MAX_BROKEN_PASSES, Worker

ODD, SOUND = 8000, 4000
"""Loudness of a stream that the engine answers oddly, and of one that it does not."""
HELLO = Handshake("u", language="en", word_timestamps=True)


class Inline:
    """A decoder that asks a function, in this loop."""

    name, languages, longest_window = "inline", frozenset({"en"}), 30.0
    is_up, is_failing, limits = True, False, TimeLimits()

    def __init__(self, hear: Callable[[Sequence[Window]], Any], parallel: int = 1, batch: int = 1) -> None:
        self._hear = hear
        self.falls_together = parallel > 1
        self.parallel = parallel
        self.batch = self.full_batch = batch

    async def decode(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """What the function gives, or the coroutine that it does."""
        heard = self._hear(windows)
        return await heard if asyncio.iscoroutine(heard) else heard  # type: ignore[no-any-return]


@dataclass
class Listener:
    """What a stream hears of itself."""

    finals: list[str] = field(default_factory=list)
    segments: list[WireSegment] = field(default_factory=list)
    lost: list[tuple[float, float]] = field(default_factory=list)

    def show(self, segments: list[WireSegment]) -> None:
        """The text of finals, and all segments."""
        self.segments += segments
        self.finals += [segment.text.strip() for segment in segments if segment.completed]

    def lose(self, start: float, end: float) -> None:
        """Speech that was given up."""
        self.lost.append((start, end))


@asynccontextmanager
async def logging() -> AsyncIterator[Sequence[EventDict]]:
    """What is logged until the block ends."""
    with capture_logs() as events:
        yield events


@asynccontextmanager
async def working(decoder: Inline) -> AsyncIterator[Worker]:
    """A worker, which must be at work still when the block ends."""
    worker = Worker(decoder, Metrics())
    running = asyncio.create_task(worker.run())
    try:
        yield worker
        assert not running.done(), running.exception()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def spoken(worker: Worker, level: int, seconds: float = 2) -> Listener:
    """Says something as loud, finals alone, and waits until it is decided."""
    listener, now = Listener(), asyncio.get_running_loop().time
    session = WindowedSession(worker, HELLO, loud, EXTENSIONS, 0)
    async with session.serve(listener):
        session.adapt(FINALS_ONLY_EFFORT)
        session.hear(0, speech(seconds) // 8000 * level, now())
        session.end_utterance(round(seconds * SECOND), now())
        await settled(session)
    return listener


async def settled(session: WindowedSession) -> None:
    """Waits until everything is decided, for five minutes."""
    for _ in range(3000):
        if session.is_settled:
            break
        await asyncio.sleep(0.1)


def level_of(window: Window) -> int:
    """The loudest sample."""
    return int(np.abs(window.samples).max(initial=0))


def nan_word(text: str) -> Word:
    """At no time."""
    return Word(f" {text}", math.nan, math.nan, 0.9)


async def test_finals_are_hurried_while_others_wait(virtual_time: None) -> None:
    """One alone has all the time; of three at once the first has, for nobody waits yet when it begins."""
    hurried: list[bool] = []

    async def hear(windows: Sequence[Window]) -> list[Hypothesis]:
        hurried.extend(window.hurried for window in windows)
        await asyncio.sleep(1)
        return [Hypothesis("so it is", language="en")] * len(windows)

    async with working(Inline(hear)) as worker:
        await spoken(worker, SOUND)
        await asyncio.gather(*(spoken(worker, SOUND) for _ in range(3)))
    assert hurried == [False, False, True, True]


async def test_a_recording_is_not_hurried_however_long_it_waits(virtual_time: None) -> None:
    """Nobody waits for it, and it is to be as right as offline; one window after the other, behind somebody live."""
    hurried: list[bool] = []

    async def hear(windows: Sequence[Window]) -> list[Hypothesis]:
        hurried.extend(window.hurried for window in windows if window.packed)
        await asyncio.sleep(1)
        return [Hypothesis("so it is", language="en")] * len(windows)

    channel, now = RecordingChannel(HELLO, loud), asyncio.get_running_loop().time()
    for _ in range(70):
        channel.hear(speech(1) // 8000 * SOUND, now)
    channel.end(now)
    windows = list(channel.open_windows())
    async with working(Inline(hear)) as worker:
        for window in windows:
            worker.add(window, Listener())
            worker.poke(window)
        await spoken(worker, SOUND)
        await eventually(lambda: all(window.is_done for window in windows), 60)
    assert hurried == [False] * len(windows)
    assert len(windows) > 2


@pytest.mark.parametrize(
    "odd",
    [
        lambda: None,
        lambda: ["secret"],
        lambda: [Hypothesis(None)],  # type: ignore[arg-type]
        lambda: [Hypothesis("secret", language=[])],  # type: ignore[arg-type]
        lambda: [Hypothesis("secret words", avg_logprob=None)],  # type: ignore[arg-type]
        lambda: dict[str, str]()["secret"],
        lambda: [Hypothesis("secret", words=(nan_word("secret"),)), Hypothesis("secret")],
    ],
    ids=["no list", "a str", "no text", "no language", "no logprob", "an exception", "two for one"],
)
async def test_an_odd_answer_costs_its_window_alone(odd: Callable[[], Any], virtual_time: None) -> None:
    """Whatever a decoder answers or raises: this client is told, the next one is served, no word is in the log."""

    def hear(windows: Sequence[Window]) -> Any:
        if any(level_of(window) == ODD for window in windows):
            return odd()
        return [Hypothesis("hello there", tokens=2, avg_logprob=-0.2) for _ in windows]

    async with logging() as logged, working(Inline(hear)) as worker:
        first = await spoken(worker, ODD)
        assert (await spoken(worker, SOUND)).finals == ["hello there"]
    assert len(first.finals) + len(first.lost) == 1
    assert "secret" not in repr(logged)


async def test_a_batch_with_an_odd_answer_is_decoded_in_halves(virtual_time: None) -> None:
    """The others in it get their finals."""

    def hear(windows: Sequence[Window]) -> Any:
        return (
            None if any(level_of(w) == ODD for w in windows) else [Hypothesis("hello there", tokens=2)] * len(windows)
        )

    async with working(Inline(hear, batch=4)) as worker:
        heard = await asyncio.gather(*(spoken(worker, level) for level in (SOUND, ODD, SOUND, SOUND)))
    assert [listener.finals for listener in heard] == [["hello there"], [], ["hello there"], ["hello there"]]
    assert len(heard[1].lost) == 1


async def test_a_session_that_breaks_over_a_result_breaks_alone(
    virtual_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect of ours, at either end of a pass: its client hears what was lost, and the others are served."""
    decoder = Inline(lambda windows: [Hypothesis("hello there", tokens=2)] * len(windows))
    async with logging() as logged, working(decoder) as worker:
        with monkeypatch.context() as patch:

            def broken(*_: object) -> None:
                raise KeyError("secret")

            patch.setattr("transcriber.core.transcript.Transcript.conclude", broken)
            assert (await spoken(worker, SOUND)).lost
        with monkeypatch.context() as patch:
            patch.setattr(WindowedSession, "begin", broken)
            assert (await spoken(worker, SOUND)).lost == [(0.0, 2.0)]
        assert (await spoken(worker, SOUND)).finals == ["hello there"]
    assert {event["step"] for event in logged if event["event"] == "decoding.broken"} == {"begin", "finish", "fail"}
    assert "secret" not in repr(logged)


async def test_a_reading_of_ours_that_breaks_costs_its_window(
    virtual_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept of two tries that went astray: a defect there ends no worker, and the next client is served."""

    def hear(windows: Sequence[Window]) -> Any:
        loop = Hypothesis("no no " * 30, tokens=90, avg_logprob=-0.1)
        return [loop if level_of(window) == ODD else Hypothesis("hello there", tokens=2) for window in windows]

    def broken(*_: object) -> None:
        raise KeyError("secret")

    monkeypatch.setattr("transcriber.decoding.best_of", broken)
    async with logging() as logged, working(Inline(hear)) as worker:
        assert (await spoken(worker, ODD)).lost == [(0.0, 2.0)]
        assert (await spoken(worker, SOUND)).finals == ["hello there"]
    assert {event["step"] for event in logged if event["event"] == "decoding.broken"} == {"judge"}
    assert "secret" not in repr(logged)


async def test_a_session_that_cannot_adapt_to_the_load_breaks_alone(
    virtual_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shedding goes over all streams: a defect in one ends no worker, and the others adapt."""
    adapted: list[object] = []
    async with logging() as logged, working(Inline(lambda _: [Hypothesis("hello there", tokens=2)])) as worker:
        sessions = [WindowedSession(worker, HELLO, loud, EXTENSIONS, 0) for _ in range(3)]

        def adapt(session: WindowedSession, _: object) -> None:
            if session is sessions[1]:
                raise KeyError("secret")
            adapted.append(session)

        async with sessions[0].serve(Listener()), sessions[1].serve(Listener()), sessions[2].serve(Listener()):
            with monkeypatch.context() as patch:
                patch.setattr(WindowedSession, "adapt", adapt)
                patch.setattr("transcriber.core.load.LoadShedder.update", lambda *_: not adapted)
                await asyncio.sleep(2)
        assert (await spoken(worker, SOUND)).finals == ["hello there"]
    assert adapted == [sessions[0], sessions[2]]
    assert [event["step"] for event in logged if event["event"] == "decoding.broken"] == ["adapt"]
    assert "secret" not in repr(logged)


@pytest.mark.parametrize("begun", [False, True], ids=["before anything", "after the audio was taken"])
async def test_a_pass_that_cannot_begin_ends_like_one_that_failed(
    begun: bool, virtual_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried once more, then its client hears what was lost; its stream goes on, and so do the others."""
    begin, tries = WindowedSession.begin, 0

    def broken(session: WindowedSession) -> DecodeJob:
        nonlocal tries
        if (tries := tries + 1) > 2:
            return begin(session)
        if begun:
            begin(session)
        raise KeyError("secret")

    monkeypatch.setattr(WindowedSession, "begin", broken)
    listener, now = Listener(), asyncio.get_running_loop().time
    async with logging() as logged, working(Inline(lambda _: [Hypothesis("hello there", tokens=2)])) as worker:
        session = WindowedSession(worker, HELLO, loud, EXTENSIONS, 0)
        async with session.serve(listener):
            session.adapt(FINALS_ONLY_EFFORT)
            for start in (0, 2):
                session.hear(start * SECOND, speech(2), now())
                session.end_utterance((start + 2) * SECOND, now())
                await settled(session)
        assert not worker.is_failing
    assert (listener.lost, listener.finals, session.decided) == ([(0.0, 2.0)], ["hello there"], 4 * SECOND)
    assert [event["step"] for event in logged if event["event"] == "decoding.broken"] == ["begin", "begin"]
    assert "secret" not in repr(logged)


async def test_passes_that_never_begin_are_an_illness(virtual_time: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten in a row: nobody gets any text, so health must be red; the first result makes it well again."""

    def broken(_: WindowedSession) -> DecodeJob:
        raise KeyError("secret")

    async with working(Inline(lambda _: [Hypothesis("hello there", tokens=2)])) as worker:
        with monkeypatch.context() as patch:
            patch.setattr(WindowedSession, "begin", broken)
            for _ in range(MAX_BROKEN_PASSES // 2):
                assert not worker.is_failing
                assert (await spoken(worker, SOUND)).lost
        assert worker.is_failing
        await spoken(worker, SOUND)
        assert not worker.is_failing


async def test_an_engine_that_says_no_language_gets_none_by_default(virtual_time: None) -> None:
    """Nobody knows in which it was said, so nothing is committed before the final, and no segment names one."""
    said = [Hypothesis("hello there", tokens=2)]
    for handshake, language, stable in (
        (Handshake("u"), None, 0),
        (Handshake("u", language="de"), "de", len(" hello there")),
        (Handshake("u", allowed_languages=frozenset({"es"})), "es", len(" hello there")),
        (Handshake("u", allowed_languages=frozenset({"es", "de"})), None, 0),
    ):
        listener, now = Listener(), asyncio.get_running_loop().time
        async with working(Inline(lambda _: said)) as worker:
            session = WindowedSession(worker, handshake, loud, EXTENSIONS, 0)
            async with session.serve(listener):
                for piece in range(8):
                    session.hear(piece * SECOND, speech(1), now())
                    await asyncio.sleep(1)
                session.end_utterance(8 * SECOND, now())
                await settled(session)
        assert listener.finals == ["hello there"]
        assert {segment.language for segment in listener.segments} == {language}
        assert max(segment.stable_len or 0 for segment in listener.segments) == stable
        assert session.detected == (None if language is None or handshake.language else (language, 1.0))


async def test_silence_is_not_decoded_whatever_was_said_before_it(virtual_time: None) -> None:
    """What a client ends before its first word, of which a partial was decoded, has nothing in it to hear."""
    asked: list[Window] = []

    def hear(windows: Sequence[Window]) -> Any:
        asked.extend(windows)
        return [Hypothesis("so it is", tokens=3, avg_logprob=-0.2)] * len(windows)

    async with working(Inline(hear)) as worker:
        now = asyncio.get_running_loop().time
        session = WindowedSession(worker, HELLO, loud, EXTENSIONS, 0)
        async with session.serve(listener := Listener()):
            session.hear(0, speech(2), now())
            session.end_utterance(2 * SECOND, now())
            await asyncio.sleep(1)
            session.hear(2 * SECOND, np.concatenate((silence(1), speech(0.6))), now())
            await asyncio.sleep(1)
            session.end_utterance(round(2.9 * SECOND), now())
            await asyncio.sleep(1)
    assert len(asked) == 3
    assert all(window.samples.any() for window in asked)
    assert listener.finals == ["so it is"]


@pytest.mark.parametrize(
    ("together", "alone", "finals"),
    [
        (("Six.", -1.31), ("six", -1.02), ["so it is", "six"]),
        (("Six.", -1.31), ("Sick.", -1.02), ["so it is"]),
        (("", -0.2), ("six", -1.02), ["so it is"]),
        (("Six.", -1.36), ("6", -1.01), ["so it is", "6"]),
    ],
    ids=["the same word", "another", "nothing", "the same number"],
)
async def test_a_word_heard_twice_is_kept_however_unlikely(
    virtual_time: None, together: tuple[str, float], alone: tuple[str, float], finals: list[str]
) -> None:
    """Once with the utterance before and once by itself: a single word is seldom likely, and was lost ("six")."""

    def hear(windows: Sequence[Window]) -> list[Hypothesis]:
        heard = []
        for window in windows:
            if len(window.samples) > 1.5 * SECOND:
                heard.append(Hypothesis("so it is", tokens=3, avg_logprob=-0.2))
            else:
                text, likelihood = together if window.before else alone
                no_speech, others = (0.02, ()) if window.before else (0.28, (Reading("six", -1.15),))
                heard.append(Hypothesis(text, tokens=2, avg_logprob=likelihood, no_speech=no_speech, others=others))
        return heard

    async with working(Inline(hear)) as worker:
        now = asyncio.get_running_loop().time
        session = WindowedSession(worker, HELLO, loud, EXTENSIONS, 0)
        async with session.serve(listener := Listener()):
            session.hear(0, speech(2), now())
            session.end_utterance(2 * SECOND, now())
            await asyncio.sleep(1)
            session.hear(2 * SECOND, np.concatenate((silence(1), speech(0.3))), now())
            session.end_utterance(round(3.3 * SECOND), now())
            await settled(session)
    assert listener.finals == finals
    assert listener.lost == []


async def test_a_window_that_kills_the_engine_takes_no_neighbour_along_twice(virtual_time: None) -> None:
    """With two calls at once: what was with it when the engine died is decoded by itself, and so is it."""
    fatal: asyncio.Future[None] | None = None

    async def hear(windows: Sequence[Window]) -> list[Hypothesis]:
        nonlocal fatal
        fatal = fatal or asyncio.get_running_loop().create_future()
        if level_of(windows[0]) == ODD:
            await asyncio.sleep(0.3)
            fatal.set_result(None)
            fatal = None
            raise EngineLost("its process crashed")
        died, _ = await asyncio.wait([fatal], timeout=0.5)
        if died:
            raise EngineLost("its process crashed")
        return [Hypothesis("hello there", tokens=2)]

    async with working(Inline(hear, parallel=2)) as worker:
        bad, good = await asyncio.gather(spoken(worker, ODD), spoken(worker, SOUND))
    assert (bad.finals, len(bad.lost)) == ([], 1)
    assert (good.finals, good.lost) == (["hello there"], [])
