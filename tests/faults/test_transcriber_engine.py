"""The engine raises, crashes, hangs, is killed or frozen, behind a whole transcriber: other streams lose nothing."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from common.whisperlive.protocol import EXTENSIONS, Handshake, Warned
from tests.support.fakes.scripted_engine import ScriptedDetector, tone
from tests.support.processes import engines
from tests.support.servers.whole_service import Running, running
from tests.support.transcribing import Client, talking

pytestmark = [pytest.mark.processes, pytest.mark.slow]
WORDS = ["alpha", "bravo", "charlie", "delta"]


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tones are speech; an engine that hangs is given up after a second."""
    monkeypatch.setattr("transcriber.service.speech_model", ScriptedDetector)
    monkeypatch.setattr("transcriber.core.limits.MIN_CALL_S", 1.0)


def hello(uid: str, script: str | None = None) -> Handshake:
    """A client whose prompt tells the engine what to do with its windows."""
    return Handshake(uid, language="en", extensions=EXTENSIONS, initial_prompt=script)


async def speak(client: Client, words: list[str]) -> None:
    """Each word as an utterance of its own, until all are decided."""
    await client.say_each(tone(word, 0.3) for word in words)


async def heard(at: Running, uid: str) -> list[str]:
    """What an honest client of its own gets."""
    async with talking(at.url, hello(uid)) as client:
        await speak(client, WORDS)
        assert not any(isinstance(event, Warned) for event in client.events)
        return client.text


@pytest.mark.parametrize(
    ("script", "restarts"), [("raise boom", 0), ("exit 3", 2), ("crash", 2), ("kill", 2), ("sleep 60", 2)]
)
async def test_a_window_that_breaks_the_engine_costs_its_own_words(script: str, restarts: int) -> None:
    """Tried twice, then its client is told which seconds are lost, and goes on; three others hear every word."""
    async with running() as at, talking(at.url, hello("poison", script)) as client:
        await client.say(tone("echo", 0.3))
        end = await client.end_utterance()
        others = await asyncio.gather(client.acked(end, timeout=15), *(heard(at, f"honest-{n}") for n in range(3)))
        assert others[1:] == [WORDS] * 3
        assert client.finals == []
        [warned] = [event for event in client.events if isinstance(event, Warned)]
        assert warned.message == "The speech from 0.000 to 0.300 s could not be transcribed."
        body = await at.until(lambda status, _: status == 200, "/ready")
        assert (body["status"], body["restarts"]) == ("ok", restarts)
        assert await at.metric("transcriber_utterances_lost_total") == 1
        assert await heard(at, "late") == WORDS


@pytest.mark.parametrize(("script", "restarts"), [("raise boom", 0), ("crash", 2)])
async def test_a_window_that_breaks_the_engine_for_those_it_came_with_costs_its_own_words(
    script: str, restarts: int
) -> None:
    """They waited together, so they went together, this one last."""
    async with running() as at, AsyncExitStack() as stack:
        uids = {"busy": "sleep 0.5", "honest-1": None, "honest-2": None, "poison": script}
        clients = [await stack.enter_async_context(talking(at.url, hello(uid, do))) for uid, do in uids.items()]
        ends = []
        for client in clients:
            await client.say(tone("echo", 0.3))
            ends.append(await client.end_utterance())
            await asyncio.sleep(0.05)
        await asyncio.gather(*(client.acked(end, timeout=15) for client, end in zip(clients, ends, strict=True)))
        assert [client.text for client in clients] == [["echo"], ["echo"], ["echo"], []]
        warned = [[event for event in client.events if isinstance(event, Warned)] for client in clients]
        assert [len(events) for events in warned] == [0, 0, 0, 1]
        assert (await at.until(lambda status, _: status == 200, "/ready"))["restarts"] == restarts
        if not restarts:  # the others were found to be innocent at once, in halves: they needed no second try
            assert await at.metric('transcriber_passes_total{kind="final",verdict="failed"}') == 2
            assert await at.metric('transcriber_passes_total{kind="final",verdict="keep"}') == 3


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP])
async def test_an_engine_killed_or_frozen_under_everybody_costs_nothing(number: signal.Signals) -> None:
    """What was with it is decoded by the next one; nobody is told anything."""
    async with running() as at:
        speaking = asyncio.gather(*(heard(at, f"honest-{n}") for n in range(4)))
        await asyncio.sleep(0.12)
        [child] = engines()
        os.kill(child, number)
        assert await speaking == [WORDS] * 4
        body = await at.until(lambda status, _: status == 200)
        assert (body["restarts"], body["engine"]) == (1, "up")
        assert engines() != [child]


async def test_an_engine_whose_every_call_fails_costs_nothing(tmp_path: Path) -> None:
    """It is replaced, health is red until another one works, and then everybody gets every word."""
    (model := tmp_path / "model").write_text("ok", encoding="utf-8")
    async with running("sick", str(model)) as at:
        model.write_text("sick", encoding="utf-8")
        speaking = asyncio.gather(*(heard(at, f"honest-{n}") for n in range(3)))
        body = await at.until(lambda status, _: status == 503)
        assert (body["status"], body["engine"]) == ("failing", "restarting")
        model.write_text("ok", encoding="utf-8")
        assert await speaking == [WORDS] * 3
        body = await at.until(lambda status, _: status == 200)
        assert (body["status"], body["restarts"]) == ("ok", 1)
        assert await at.metric("transcriber_utterances_lost_total") == 0


async def test_an_engine_that_is_frozen_for_a_moment_is_waited_for() -> None:
    """Shorter than the limit: the same engine goes on."""
    async with running() as at:
        [child] = engines()
        os.kill(child, signal.SIGSTOP)
        speaking = asyncio.create_task(heard(at, "honest"))
        await asyncio.sleep(0.5)
        os.kill(child, signal.SIGCONT)
        assert await speaking == WORDS
        assert engines() == [child]
