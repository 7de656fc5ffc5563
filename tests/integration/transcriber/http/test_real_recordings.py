"""Recordings over HTTP on real Whisper weights: as right as Whisper offline (bench/recordings.md has real speech)."""

from __future__ import annotations

from typing import Any

import jiwer
import numpy as np

from bench.recordings import joined, words
from common.audio.silero import SileroModel
from tests.support.audio.recordings import Samples, clips, encode, web
from tests.support.real_whisper import MARKS, base

pytestmark = MARKS


def error_rate(said: list[tuple[str, Samples]], heard: str) -> float:
    """Of words, without case and punctuation."""
    return jiwer.wer(words(" ".join(text for text, _ in said)), words(heard))


async def test_a_meeting_is_heard_in_full_windows_with_the_times_of_its_words() -> None:
    """One word in twenty may be wrong; each is in its sentence, give or take a quarter of a second."""
    engine, speech = base(), SileroModel()
    said = clips()[:18]
    fields = {
        "model": "base", "language": "en", "response_format": "verbose_json",
        "timestamp_granularities[]": ["word", "segment"],
    }  # fmt: skip
    async with web(engine, speech=speech.batched) as at:
        files = {"file": ("a.flac", encode("flac", joined(samples for _, samples in said), 16_000))}
        answer = await at.http.post("/v1/audio/transcriptions", files=files, data=fields, timeout=240)
    body: dict[str, Any] = answer.json()
    assert error_rate(said, body["text"]) <= 0.05
    spans = sentences(said)
    for word in body["words"]:
        assert any(start - 0.25 <= word["start"] <= word["end"] <= end + 0.25 for start, end in spans), word


def sentences(said: list[tuple[str, Samples]]) -> list[tuple[float, float]]:
    """Where each is in the recording, in seconds."""
    pause = len(joined([]))
    lengths = np.array([pause + len(samples) for _, samples in said])
    ends = np.cumsum(lengths)
    return [((end - length + pause) / 16_000, end / 16_000) for end, length in zip(ends, lengths, strict=True)]
