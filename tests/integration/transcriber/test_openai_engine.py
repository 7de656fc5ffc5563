"""The engine that is a server with OpenAI's API, over real sockets: what it asks, and what it makes of every fault."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from starlette.responses import Response
from structlog.typing import EventDict

from tests.support.fakes.scripted_engine import tone
from tests.support.lanes import free_port
from tests.support.servers.scripted_openai import (
    ScriptedOpenAI,
    Step,
    breaks,
    hangs,
    refusal,
    says,
    scripted_openai,
    sends,
    until,
)
from tests.support.waiting import eventually
from transcriber.config import RemoteSettings, Settings
from transcriber.core.windows import Window
from transcriber.engine import openai
from transcriber.engine.base import EngineFailed, EngineLost, ModelError
from transcriber.engine.openai import MAX_ANSWER_BYTES, MAX_FAILURES, OpenAIDecoder

pytestmark = pytest.mark.slow
KEY = "canary-k3y-0123"
ALPHA = Window(tone("alpha"), language="en")
SPOKEN = np.concatenate([tone("alpha", 1.5), tone("bravo", 1.5)])


@asynccontextmanager
async def decoding(
    url: str, *, key: str | None = None, timeout: float = 5.0, on_restart: Callable[[], None] = lambda: None
) -> AsyncIterator[OpenAIDecoder]:
    """A decoder that can be used, until the block ends. Raises ModelError."""
    settings, remote = Settings(model="large-v3", parallel=4), RemoteSettings(url, key, timeout)
    decoder = OpenAIDecoder(settings, remote, on_restart=on_restart)
    running, starting = asyncio.create_task(decoder.run()), asyncio.create_task(decoder.started())
    try:
        await asyncio.wait((running, starting), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        yield decoder
    finally:
        for task in (running, starting):
            task.cancel()
        await asyncio.gather(running, starting, return_exceptions=True)


@asynccontextmanager
async def asking(
    *, key: str | None = None, timeout: float = 5.0
) -> AsyncIterator[tuple[ScriptedOpenAI, OpenAIDecoder]]:
    """A server, and a decoder that uses it."""
    async with scripted_openai() as server, decoding(server.url, key=key, timeout=timeout) as decoder:
        server.calls.clear()
        yield server, decoder


async def refused(url: str, *, key: str | None = None) -> str:
    """Why a server cannot be used."""
    with pytest.raises(ModelError) as caught:
        async with decoding(url, key=key):
            pass
    return str(caught.value)


async def test_a_window_is_one_call_and_its_answer_a_hypothesis() -> None:
    """Text, language, words with times, and how sure the server is."""
    async with asking() as (server, decoder):
        spoken = Window(SPOKEN, language="en", words=True, prompt="Ana", careful=True)
        [heard] = await decoder.decode([spoken])
        assert (heard.text, heard.language, heard.avg_logprob, heard.no_speech, heard.tokens) == (
            "alpha bravo", "en", -0.125, 0.0625, 2,
        )  # fmt: skip
        sure = math.exp(-0.125)
        assert [(word.start, word.end, word.probability) for word in heard.words] == [
            (0.0, 1.5, sure), (1.5, 3.0, sure),
        ]  # fmt: skip
        [call] = server.calls
        assert (call["model"], call["language"], call["prompt"], call["seconds"], call["task"]) == (
            "large-v3", "en", "Ana", 3.0, "transcriptions",
        )  # fmt: skip


@pytest.mark.parametrize("tells", ["segments", "text"])
async def test_a_server_that_tells_less_is_asked_for_less(tells: str) -> None:
    """It is found out at the start, not with what somebody says; words then have no times."""
    async with scripted_openai() as server:
        server.granularities = False
        server.formats = {"json"} if tells == "text" else server.formats
        async with decoding(server.url) as decoder:
            asked = len(server.calls)
            [heard] = await decoder.decode([Window(SPOKEN, language="en", words=True)])
        assert (heard.text, heard.words, len(server.calls) - asked) == ("alpha bravo", (), 1)
        assert heard.avg_logprob == (0.0 if tells == "text" else -0.125)


async def test_a_key_that_is_wrong_or_missing_is_said_at_the_start(logged: list[EventDict]) -> None:
    """With the setting to change; the key is in no message and no log, though the server quotes it."""
    async with scripted_openai() as server:
        server.key = KEY
        for key in (None, f"{KEY}-not"):
            said = await refused(server.url, key=key)
            assert "HTTP 401 (invalid_api_key)" in said
            assert "--engine-key-file" in said
            assert server.url in said
            assert KEY not in said
        async with decoding(server.url, key=KEY) as decoder:
            assert [h.text for h in await decoder.decode([ALPHA])] == ["alpha"]
    assert KEY not in repr(logged)


async def test_what_is_no_such_server_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong path or model, a page of something else, a model that takes nothing, no credit, nobody there."""
    async with scripted_openai() as server:
        server.always = says(404, "The model `large-v3` does not exist", "model_not_found")
        said = await refused(server.url)
        assert "--engine-url and --engine-model" in said
        assert "It says: The model `large-v3` does not exist" in said
        server.always = sends(b"<html>Welcome</html>")
        assert "not JSON" in await refused(server.url)
        server.always, server.formats = None, set()
        assert "HTTP 400 (unsupported_value)" in await refused(server.url)
        monkeypatch.setattr(openai, "START_TIMEOUT_S", 1.0)
        server.always = says(429, "You exceeded your current quota", "insufficient_quota")
        assert "HTTP 429 (insufficient_quota)" in await refused(server.url)
    assert "Is --engine-url right, and the server there?" in await refused(server.url)


async def test_a_server_that_starts_later_is_waited_for() -> None:
    """As when a Compose file starts both at once."""
    port = free_port()

    async def ask() -> str:
        async with decoding(f"http://127.0.0.1:{port}/v1") as decoder:
            return (await decoder.decode([ALPHA]))[0].text

    asked = asyncio.create_task(ask())
    await asyncio.sleep(0.5)
    assert not asked.done()
    async with scripted_openai(port):
        assert await asked == "alpha"


# --- faults that pass ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [says(500), says(503), says(408), says(429, retry_after="soon"), breaks()])
async def test_a_call_that_may_succeed_is_tried_again(step: Step) -> None:
    """What is busy, out of order for a moment, or was cut off."""
    async with asking() as (server, decoder):
        server.script += [step, step]
        assert [h.text for h in await decoder.decode([ALPHA])] == ["alpha"]
        assert len(server.calls) == 3


async def test_a_server_that_asks_for_a_pause_gets_it_from_every_call() -> None:
    """`Retry-After` is for the key, not for the call: the other windows wait as well, and none is lost."""
    async with asking() as (server, decoder):
        now = asyncio.get_running_loop().time
        server.script.append(says(429, retry_after="1"))
        first = asyncio.create_task(decoder.decode([ALPHA]))
        await eventually(lambda: len(server.calls) == 1)
        began = now()
        await asyncio.sleep(0.1)
        heard = await asyncio.gather(first, *(decoder.decode([ALPHA]) for _ in range(3)))
        assert now() - began > 0.8
        assert [h.text for [h] in heard] == ["alpha"] * 4
        assert len(server.calls) == 5


async def test_a_pause_that_the_server_wants_takes_no_time_from_a_call() -> None:
    """Nobody is late who does as told: it may be longer than a call may take."""
    async with asking(timeout=1.0) as (server, decoder):
        server.script += [says(429, retry_after="1.5")] * 2
        assert [h.text for h in await decoder.decode([ALPHA])] == ["alpha"]
        assert (len(server.calls), decoder.is_up) == (3, True)


async def test_a_call_that_hangs_is_cut_off_and_tried_again() -> None:
    """The server lost it; it is well otherwise."""
    async with asking(timeout=1.0) as (server, decoder):
        server.script.append(hangs)
        [heard] = await decoder.decode([Window(tone("alpha"), language="en", careful=True)])
        assert (heard.text, decoder.is_up, len(server.calls)) == ("alpha", True, 2)


async def test_calls_run_side_by_side() -> None:
    """A slow one holds nobody up."""
    async with asking() as (server, decoder):
        go = asyncio.Event()
        server.script += [until(go)] * 3
        slow = [asyncio.create_task(decoder.decode([ALPHA])) for _ in range(3)]
        await eventually(lambda: len(server.calls) == 3)
        assert [h.text for h in await decoder.decode([ALPHA])] == ["alpha"]
        go.set()
        assert [h.text for [h] in await asyncio.gather(*slow)] == ["alpha"] * 3


# --- faults that cost a window -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "step",
    [
        says(400, "I heard: launch code"), says(413), says(422),
        sends(b'{"heard": "launch code"}'), sends(b"\x1f\x8b\0"),
        sends(b'{"text": "launch code' + b" " * MAX_ANSWER_BYTES),
    ],
)  # fmt: skip
async def test_a_call_that_is_not_taken_fails_at_once_and_quotes_nothing(step: Step, logged: list[EventDict]) -> None:
    """Or whose answer cannot be read: this window fails; the next ones are tried."""
    async with asking() as (server, decoder):
        server.script.append(step)
        with pytest.raises(EngineFailed) as caught:
            await decoder.decode([ALPHA])
        assert server.url in str(caught.value)
        assert [h.text for h in await decoder.decode([ALPHA])] == ["alpha"]
        assert len(server.calls) == 2
    assert "launch" not in str(caught.value) + repr(logged)


async def test_a_server_that_fails_every_window_is_ill_until_it_decodes_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers, so nothing waits for it; but whoever watches our health is told, as long as anybody asks."""
    async with asking() as (server, decoder):
        server.script += [sends(b"{}")] * MAX_FAILURES
        for failures in range(MAX_FAILURES):
            assert not decoder.is_failing, failures
            with pytest.raises(EngineFailed):
                await decoder.decode([ALPHA])
        assert (decoder.is_up, decoder.is_failing) == (True, True)
        with monkeypatch.context() as patch:
            patch.setattr(openai, "ILLNESS_S", 0.0)
            assert (decoder.is_up, decoder.is_failing) == (True, False)
        await decoder.decode([ALPHA])
        assert (decoder.is_up, decoder.is_failing) == (True, False)


async def test_a_server_that_refuses_what_a_client_wants_is_well() -> None:
    """A language that it does not know, a prompt that is too long: it takes silence, so health is not its."""

    async def refuses(server: ScriptedOpenAI) -> Response | None:
        return refusal(400, "Language 'haw' is not supported.") if server.calls[-1].get("language") == "haw" else None

    async with asking() as (server, decoder):
        server.always = refuses
        for _ in range(3 * MAX_FAILURES):
            with pytest.raises(EngineFailed, match="HTTP 400"):
                await decoder.decode([Window(tone("alpha"), language="haw")])
            assert (decoder.is_up, decoder.is_failing) == (True, False)
        assert len(server.calls) - len(server.windows) <= 3


async def test_a_server_that_refuses_silence_too_is_ill() -> None:
    """As one that has lost what reads its files."""
    async with asking() as (server, decoder):
        server.always = says(400)
        for _ in range(MAX_FAILURES):
            assert not decoder.is_failing
            with pytest.raises(EngineFailed):
                await decoder.decode([ALPHA])
        assert (decoder.is_up, decoder.is_failing) == (True, True)


async def test_a_call_that_hangs_while_others_are_answered_costs_itself_alone() -> None:
    """The server is well: it is this window."""
    async with asking(timeout=1.0) as (server, decoder):
        server.script.append(hangs)
        failing = asyncio.create_task(decoder.decode([ALPHA]))
        await eventually(lambda: server.calls)
        await decoder.decode([ALPHA])
        with pytest.raises(EngineFailed, match="no answer within 1 s"):
            await failing
        assert decoder.is_up


# --- a server that is lost -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [hangs, says(503), says(401), says(404), breaks()])
async def test_a_lost_server_is_asked_until_it_is_back_and_windows_wait(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The window that found out is for the worker to try again; others are not even sent, silence is."""
    monkeypatch.setattr(openai, "PROBE_PAUSES_S", (0.1, 0.2))
    restarts: list[None] = []
    async with (
        scripted_openai() as server,
        decoding(server.url, timeout=1.0, on_restart=lambda: restarts.append(None)) as decoder,
    ):
        server.calls.clear()
        server.always = step
        with pytest.raises(EngineLost):
            await decoder.decode([ALPHA])
        asked = len(server.windows)
        waiting = [asyncio.create_task(decoder.decode([ALPHA])) for _ in range(3)]
        await eventually(lambda: len(server.calls) > asked + 1)
        assert (decoder.is_up, len(server.windows), restarts) == (False, asked, [])
        server.always = None
        assert [h.text for [h] in await asyncio.gather(*waiting)] == ["alpha"] * 3
        assert (decoder.is_up, restarts) == (True, [None])


async def test_an_answer_that_comes_after_all_shows_that_the_server_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call was given up, another was still under way."""
    monkeypatch.setattr(openai, "PROBE_PAUSES_S", (60.0, 60.0))
    async with asking(timeout=1.0) as (server, decoder):
        go = asyncio.Event()
        server.script += [hangs, until(go), *[says(503)] * 20]
        lost = asyncio.create_task(decoder.decode([ALPHA]))
        await eventually(lambda: len(server.calls) == 1)
        await asyncio.sleep(0.5)
        late = asyncio.create_task(decoder.decode([ALPHA]))
        with pytest.raises(EngineLost):
            await lost
        assert not decoder.is_up
        go.set()
        await late
        assert decoder.is_up


async def test_a_call_that_nobody_waits_for_any_more_is_no_failure() -> None:
    """As when a client has left."""
    async with asking() as (server, decoder):
        server.script += [hangs] * MAX_FAILURES
        calls = [asyncio.create_task(decoder.decode([ALPHA])) for _ in range(MAX_FAILURES)]
        await eventually(lambda: len(server.calls) == MAX_FAILURES)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert [h.text for h in await decoder.decode([ALPHA])] == ["alpha"]
        assert decoder.is_up


# --- languages -----------------------------------------------------------------------------------------------------


async def test_what_is_found_is_one_of_the_allowed_languages() -> None:
    """One: it is asked for. Several, and another one was found: the window is decoded in those, or as before."""
    async with asking() as (server, decoder):
        server.language = "dutch"

        async def asked(**wanted: Any) -> tuple[list[str | None], str | None]:
            server.calls.clear()
            [heard] = await decoder.decode([Window(SPOKEN, **wanted)])
            return [call.get("language") for call in server.calls], heard.language

        assert await asked() == ([None], "nl")
        assert await asked(allowed=frozenset({"nl", "de"})) == ([None], "nl")
        assert await asked(allowed=frozenset({"de"})) == (["de"], "de")
        assert await asked(allowed=frozenset({"de", "en"})) == ([None, "de", "en"], "de")
        assert await asked(allowed=frozenset({"de", "en"}), prior="en") == ([None, "en"], "en")
        assert await asked(allowed=frozenset({"tlh"})) == ([None], "nl")
        assert await asked(language="fr") == (["fr"], "fr")
        server.language = "gibberish"
        assert await asked(allowed=frozenset({"de", "en"})) == ([None], None)  # it may be one of them


async def test_a_word_is_no_evidence_for_another_language() -> None:
    """Less than 2.5 s are taken for what was spoken before."""
    async with asking() as (server, decoder):
        server.language = "de"
        short, long = Window(tone("alpha"), prior="en"), Window(SPOKEN, prior="en")
        assert [h.language for h in [*await decoder.decode([short]), *await decoder.decode([long])]] == ["en", "de"]


async def test_a_translation_has_a_route_of_its_own_which_may_be_missing() -> None:
    """Then that window fails, and the server is not lost to the others."""
    translation = Window(SPOKEN, language="de", task="translate")
    async with asking() as (server, decoder):
        await decoder.decode([translation])
        assert [call["task"] for call in server.calls] == ["translations"]
        for _ in range(MAX_FAILURES):
            server.script.append(says(404))
            with pytest.raises(EngineFailed, match="HTTP 404"):
                await decoder.decode([translation])
        assert (decoder.is_up, decoder.is_failing) == (True, False)
