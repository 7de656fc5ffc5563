"""Real speech and the demo model: recordings in every format, and live streams beside a long one."""

from __future__ import annotations

import asyncio
import logging
import time

import jiwer
import numpy as np
import pytest

from common.audio.silero import SileroModel
from common.whisperlive.protocol import EXTENSIONS, Handshake
from tests.support.audio.recordings import Samples, clips, encode, web
from tests.support.transcribing import Client, talking
from transcriber.config import Settings
from transcriber.engine.base import Engine
from transcriber.engine.faster_whisper import load

pytestmark = [pytest.mark.model, pytest.mark.slow]
PATH = "/v1/audio/transcriptions"


@pytest.fixture(scope="module")
def models() -> tuple[Engine, SileroModel]:
    """Loaded once."""
    return load(Settings(model="demo", device="cpu")), SileroModel()


def meeting(pieces: list[Samples], pause: float = 0.8) -> Samples:
    """The pieces one after another."""
    gap = np.random.default_rng(1).normal(0, 10, int(pause * 16_000)).astype(np.int16)
    return np.concatenate([part for piece in pieces for part in (gap, piece)] + [gap])


@pytest.mark.parametrize("kind", ["wav", "ogg", "webm", "mp4"])
async def test_real_speech_in_every_container(models: tuple[Engine, SileroModel], kind: str) -> None:
    """At most one word in twenty is wrong; words come with times."""
    engine, speech = models
    said = clips()[:6]
    async with web(engine, speech=speech.batched) as at:
        fields = {
            "model": "demo", "response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"],
        }  # fmt: skip
        data = encode(kind, meeting([samples for _, samples in said]))
        body = (await at.http.post(PATH, files={"file": (f"a.{kind}", data)}, data=fields)).json()
    assert jiwer.wer(" ".join(text for text, _ in said), body["text"]) <= 0.05
    assert len(body["segments"]) == len(said)
    assert [word["word"] for word in body["words"]] == body["text"].split()
    times = [word["start"] for word in body["words"]]
    assert times == sorted(times)


@pytest.mark.timeout(120)
async def test_a_live_stream_hardly_notices_a_long_recording(models: tuple[Engine, SileroModel]) -> None:
    """Finals while five minutes are transcribed come soon after the end of the utterance; the recording is complete."""
    engine, speech = models
    said = clips()
    once = meeting([samples for _, samples in said], 0.8)
    times = -(-300 * 16_000 // len(once))
    data = encode("ogg", np.tile(once, times)[: times * len(once)])
    async with web(engine, speech=speech.batched) as at, talking(at.ws_url, hello()) as client:
        alone = [await final_latency(client, said[number][1]) for number in range(3)]
        started, recordings = time.monotonic(), 0
        files = {"file": ("long.ogg", data)}
        beside: list[float] = []
        while len(beside) < 3:  # a fast machine needs several recordings for that
            recording = asyncio.create_task(at.http.post(PATH, files=files, data={"model": "whisper-1"}))
            recordings += 1
            while not recording.done() and len(beside) < 12:
                latency = await final_latency(client, said[len(beside) % len(said)][1])
                beside += [latency] * (not recording.done())
            answer = await recording
        took = time.monotonic() - started
    logging.getLogger(__name__).warning(
        "alone %s, beside %s, %d recordings took %.1f s", alone, beside, recordings, took
    )
    assert max(beside) < 2.0
    reference = " ".join([text for text, _ in said] * times)
    assert jiwer.wer(reference, answer.json()["text"]) <= 0.1  # 0.08 on some processors


def hello() -> Handshake:
    """A client that ends its own utterances."""
    return Handshake("live", language="en", extensions=EXTENSIONS)


async def final_latency(client: Client, samples: Samples) -> float:
    """Says one sentence in real time; seconds from its end to its final."""
    for first in range(0, len(samples), 1600):
        await client.say(samples[first : first + 1600])
        await asyncio.sleep(0.1)
    ended = time.monotonic()
    end = await client.end_utterance()
    await client.acked(end)
    return time.monotonic() - ended
