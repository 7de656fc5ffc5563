"""The model is behind HTTP, and the server that has it is busy, cut off, gone or ill: who speaks loses nothing."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from common.whisperlive.protocol import EXTENSIONS, Handshake, Segments, Warned
from tests.support.fakes.scripted_engine import ScriptedDetector, tone
from tests.support.servers.scripted_openai import breaks, says, scripted_openai, sends
from tests.support.servers.whole_service import Running, running
from tests.support.transcribing import Client, talking
from tests.support.waiting import eventually
from transcriber.config import RemoteSettings
from transcriber.engine import openai

pytestmark = pytest.mark.slow
WORDS = ["alpha", "bravo", "charlie", "delta"]


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tones are speech; a lost server is asked again soon."""
    monkeypatch.setattr("transcriber.service.speech_model", ScriptedDetector)
    monkeypatch.setattr(openai, "PROBE_PAUSES_S", (0.1, 0.2))


def hello(uid: str) -> Handshake:
    """A client that says where its utterances end."""
    return Handshake(uid, language="en", extensions=EXTENSIONS)


async def speak(client: Client, words: list[str]) -> None:
    """Each word as an utterance of its own, until all are decided."""
    await client.say_each(tone(word) for word in words)


async def heard(at: Running, uid: str) -> list[str]:
    """What a client gets."""
    async with talking(at.url, hello(uid)) as client:
        await speak(client, WORDS)
        assert not any(isinstance(event, Warned) for event in client.events)
        return client.text


async def test_faults_that_pass_are_not_noticed() -> None:
    """Three clients speak while one call in two is refused or broken; health stays green, nothing is restarted."""
    faults = [says(500), breaks(), says(429, retry_after="0.2"), says(503), says(408)] * 2
    async with scripted_openai() as server, running(remote=RemoteSettings(server.url)) as at:
        server.script.extend(step for fault in faults for step in (fault, honest))
        assert await asyncio.gather(*(heard(at, f"u{n}") for n in range(3))) == [WORDS] * 3
        assert not server.script
        status, body = await at.says()
        assert (status, body["backend"], body["engine"], body["restarts"]) == (200, "openai", "up", 0)
        assert await at.metric("transcriber_failures_total") == 0


async def honest(_: Any) -> None:
    """A step: nothing happens."""


async def test_a_server_that_goes_away_while_people_speak_costs_no_word() -> None:
    """Their audio waits; not ready meanwhile; when it is back, every word comes once and in order."""
    async with scripted_openai() as server, running(remote=RemoteSettings(server.url, timeout=1.0)) as at:
        async with talking(at.url, hello("u")) as client:
            await speak(client, WORDS[:2])
            server.always = says(502)
            speaking = asyncio.create_task(speak(client, WORDS[2:]))
            body = await at.until(lambda status, _: status == 503, "/ready")
            assert (body["engine"], body["status"]) == ("restarting", "restarting")
            await asyncio.sleep(0.5)
            assert client.text == WORDS[:2]
            server.always = None
            await speaking
            assert client.text == WORDS
            assert not any(isinstance(event, Warned) for event in client.events)
        body = await at.until(lambda status, _: status == 200, "/ready")
        assert (body["engine"], body["restarts"]) == ("up", 1)


async def test_a_server_that_goes_away_while_nobody_speaks_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is its question, seldom: not ready until it answers again, and no more calls than that asks for."""
    monkeypatch.setattr(openai, "IDLE_PROBE_S", 0.2)
    async with scripted_openai() as server, running(remote=RemoteSettings(server.url, timeout=1.0)) as at:
        server.calls.clear()
        began = asyncio.get_running_loop().time()
        await eventually(lambda: len(server.calls) >= 5)
        on_its_way = 1
        assert len(server.calls) <= on_its_way + 1 + (asyncio.get_running_loop().time() - began) / 0.2
        assert (await at.says("/ready"))[0] == 200
        server.always = says(502)
        await at.until(lambda status, _: status == 503, "/ready")
        server.always = None
        await at.until(lambda status, _: status == 200, "/ready")
        assert not server.windows


async def test_a_server_that_takes_no_window_turns_health_red() -> None:
    """Its clients are told which seconds are lost; `failing` until one is decoded."""
    async with scripted_openai() as server, running(remote=RemoteSettings(server.url, timeout=2.0)) as at:
        server.always = sends(b"<html>")
        async with talking(at.url, hello("u")) as client:
            await speak(client, WORDS)
            assert client.text == []
            assert sum(isinstance(event, Warned) for event in client.events) == len(WORDS)
            status, body = await at.says()
            assert (status, body["status"]) == (503, "failing")
            server.always = None
            await speak(client, ["echo"])
            assert client.text == ["echo"]
        assert (await at.says())[0] == 200


async def test_a_server_without_word_times_commits_what_two_passes_agree_on() -> None:
    """Text is all that it tells: a partial's words may change until the next one has them too; the final keeps them."""
    async with scripted_openai() as server:
        server.formats = {"json"}
        async with running(remote=RemoteSettings(server.url)) as at, talking(at.url, hello("u")) as client:
            for word in WORDS:
                await client.say(tone(word, 0.9))
                await client.until(lambda event, word=word: _ends(event, word))  # type: ignore[misc]
            await client.acked(await client.end_utterance())
    assert client.text == [" ".join(WORDS)]
    partials = [segment for segment in client.segments if not segment.completed]
    assert (partials[0].stable_len, partials[0].words) == (0, None)
    assert any(partial.stable_len for partial in partials)
    for before, after in pairwise(client.segments):
        assert after.text.startswith(before.text[: before.stable_len])


def _ends(event: object, word: str) -> bool:
    return isinstance(event, Segments) and event.segments[-1].text.endswith(word)
