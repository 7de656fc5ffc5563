"""Languages on real sockets, with an engine whose words are English or German: what is said is never lost over them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from common.whisperlive.protocol import EXTENSIONS, Handshake, LanguageDetected
from tests.support.fakes.scripted_engine import ScriptedEngine, silence, tone
from tests.support.transcribing import Client, serving, talking

pytestmark = pytest.mark.slow
ENGLISH, GERMAN, BOTH = ("alpha", "bravo", "charlie", "delta", "echo"), ("anton", "berta") * 3, ("alpha", "anton")


@pytest.fixture(autouse=True)
def faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """As fast as the machine can."""
    monkeypatch.setattr("transcriber.core.pace.MAX_READ_SPEED", 1000)


async def say(client: Client, *utterances: Sequence[str]) -> list[tuple[str, str | None]]:
    """Says these; the text and language of each final, in order."""
    for words in utterances:
        for word in words:
            await client.say(tone(word))
        await client.say(silence(1.0))
    await client.socket.send(client.protocol.end_of_audio())
    assert await client.rest() == 1000
    return [(segment.text.strip(), segment.language) for segment in client.finals]


def announced(client: Client) -> list[str]:
    """The languages that the client was told."""
    return [event.language for event in client.events if isinstance(event, LanguageDetected)]


async def test_nothing_is_lost_while_the_language_is_undecided() -> None:
    """As much German as English, again and again: every word arrives; nobody is told a language."""
    async with (
        serving() as running,
        talking(running.url, Handshake("u", extensions=EXTENSIONS - {"utterance"})) as client,
    ):
        heard = await say(client, BOTH, BOTH, BOTH)
    assert [text for text, _ in heard] == ["alpha anton"] * 3
    assert announced(client) == []


async def test_each_utterance_has_its_language_but_a_word_is_no_switch() -> None:
    """German stays German for a sentence with an English word; an English word by itself is English, and what comes
    then, if it may be either, German again; after an English sentence it is English."""
    async with (
        serving() as running,
        talking(running.url, Handshake("u", extensions=EXTENSIONS - {"utterance"})) as client,
    ):
        heard = await say(client, GERMAN, ("alpha",), BOTH, (*GERMAN, "alpha"), ENGLISH, BOTH)
    assert [language for _, language in heard] == ["de", "en", "de", "de", "en", "en"]
    assert [text for text, _ in heard][1:5:3] == ["alpha", " ".join(ENGLISH)]
    assert announced(client) == ["de"]


async def test_only_allowed_languages_are_found() -> None:
    """The handshake says which; the words are there all the same."""
    hello = Handshake("u", extensions=EXTENSIONS - {"utterance"}, allowed_languages=frozenset({"de"}))
    async with serving() as running, talking(running.url, hello) as client:
        assert await say(client, ENGLISH) == [(" ".join(ENGLISH), "de")]
    assert announced(client) == ["de"]


async def test_a_stock_client_is_told_one_language_which_stays() -> None:
    """WhisperLive's rule: the engine is asked for it from then on."""
    engine = ScriptedEngine()
    async with serving(engine) as running, talking(running.url, Handshake("u")) as client:
        heard = await say(client, ("anton",), GERMAN, ENGLISH)
    assert [text for text, _ in heard] == ["anton", " ".join(GERMAN), " ".join(ENGLISH)]
    assert announced(client) == ["de"]
    asked = [window.language for window in engine.windows]
    assert asked[0] is None
    assert asked[-1] == "de"
