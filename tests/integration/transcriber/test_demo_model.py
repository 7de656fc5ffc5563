"""Real speech, the real demo model, a real socket: word error rate, silence, words with times."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import jiwer
import numpy as np
import numpy.typing as npt
import pytest

from common.audio.silero import SileroModel
from common.whisperlive.protocol import EXTENSIONS, Handshake, Segments
from tests.support.audio.sounds import white_noise
from tests.support.transcribing import serving, talking
from transcriber.config import Settings
from transcriber.engine.base import Engine
from transcriber.engine.faster_whisper import load

pytestmark = [pytest.mark.model, pytest.mark.slow]
CLIPS = Path(__file__).parents[3] / "rehearsal" / "clips"


def clips() -> list[tuple[str, npt.NDArray[np.int16]]]:
    """Sentences that the model was not trained on: text and int16 at 16 kHz."""
    listed = json.loads((CLIPS / "manifest.json").read_text(encoding="utf-8"))["clips"]
    return [(clip["text"], _samples(CLIPS / f"{clip['name']}.wav")) for clip in listed]


def _samples(path: Path) -> npt.NDArray[np.int16]:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)


@pytest.fixture(scope="module")
def models() -> tuple[Engine, SileroModel]:
    """Loaded once."""
    return load(Settings(model="demo", device="cpu")), SileroModel()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("extensions", [EXTENSIONS, frozenset[str]()], ids=["ours", "stock"])
async def test_the_word_error_rate_is_at_most_five_percent(
    models: tuple[Engine, SileroModel], extensions: frozenset[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the socket, utterance after utterance: ended by the client, or found by the server."""
    monkeypatch.setattr("transcriber.core.pace.MAX_READ_SPEED", 20)
    engine, speech = models
    spoken = clips()[:18]
    hello = Handshake("u", language="en", extensions=extensions)
    async with serving(engine, speech=speech.batched) as running, talking(running.url, hello) as client:
        await client.dictate(samples for _, samples in spoken)
    assert len(client.finals) == len(spoken) >= 15
    assert jiwer.wer([text for text, _ in spoken], client.text) <= 0.05
    assert all(a.end <= b.start for a, b in zip(client.finals, client.finals[1:], strict=False))


async def test_silence_and_noise_give_no_text(
    models: tuple[Engine, SileroModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even when the client claims that they are utterances."""
    monkeypatch.setattr("transcriber.core.pace.MAX_READ_SPEED", 1000)
    engine, speech = models
    for extensions in (EXTENSIONS, frozenset({"ack"})):
        hello = Handshake("u", language="en", extensions=extensions)
        async with serving(engine, speech=speech.batched) as running, talking(running.url, hello) as client:
            for level in (0.0, 0.0003, 0.003, 0.03):
                await client.say(white_noise(5, level))
                if extensions == EXTENSIONS:
                    await client.end_utterance()
            await client.acked(19 * 16_000)
            assert client.segments == []


async def test_partials_of_real_speech_grow_into_the_final(models: tuple[Engine, SileroModel]) -> None:
    """Heard word by word, the sentence is shown before it ends."""
    engine, speech = models
    text, samples = clips()[2]
    hello = Handshake("u", language="en", extensions=EXTENSIONS)
    async with serving(engine, speech=speech.batched) as running, talking(running.url, hello) as client:
        middle = 2 * len(samples) // 3
        await client.say(samples[:middle])
        await client.until(lambda event: isinstance(event, Segments))
        await client.say(samples[middle:])
        await client.acked(await client.end_utterance())
        partial = client.segments[0]
        assert (partial.completed, partial.segment_id) == (False, "u:1")
        assert text.startswith(" ".join(partial.text.split()[:3]))
        assert client.text == [text]
