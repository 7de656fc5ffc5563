"""Encoder inputs: as small as the speech allows, and padded with what silence really looks like."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor

from transcriber.engine.base import ModelError
from transcriber.engine.features import (
    BUCKET_FRAMES,
    FULL_WINDOW_FRAMES,
    MAX_WINDOW_SAMPLES,
    MEL_FLOOR,
    MIN_WINDOW_SAMPLES,
    Extractor,
    bucket,
    longest_of,
    padding_of,
)
from transcriber.engine.models import DEMO_FOLDER

MEL = FeatureExtractor()


def loud(seconds: float) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """Noise."""
    return np.random.default_rng(1).normal(0, 3000, int(seconds * 16_000)).astype(np.int16)


def test_windows_are_as_small_as_the_speech_allows() -> None:
    """The next size that leaves a margin; the full one when asked for; never more than the model takes."""
    assert [bucket(frames) for frames in (0, 570, 571, 1470, 2970, 3000)] == [600, 600, 800, 1500, 3000, 3000]
    extract = Extractor(MEL, None)
    features, frames = extract(loud(2))
    assert (features.shape, frames) == ((80, BUCKET_FRAMES[0]), 200)
    assert extract(loud(2), full=True)[0].shape == (80, FULL_WINDOW_FRAMES)


def test_short_windows_are_padded_with_true_silence() -> None:
    """Exactly what the extractor makes of the audio with zeros behind it, but for the edge that the zeros blur."""
    for speech in (loud(2), loud(1) // 1000, np.zeros(16_000, np.int16)):
        features, frames = Extractor(MEL, None)(speech)
        silent = np.pad(speech, (0, 600 * 160 - len(speech))).astype(np.float32) / np.float32(32768)
        np.testing.assert_allclose(features[:, frames + 2 :], MEL(silent)[:, frames + 2 : 600], atol=1e-4)
    assert features[0, -1] == MEL_FLOOR


def test_a_model_may_ask_for_another_padding(tmp_path: Path) -> None:
    """In its folder; what makes no sense there is an error that names the file."""
    assert padding_of(DEMO_FOLDER) == 0.0
    assert Extractor(MEL, 0.25)(loud(1))[0][:, -1].tolist() == [0.25] * 80
    assert padding_of(tmp_path) is None
    config = tmp_path / "preprocessor_config.json"
    for content, padding in (({}, None), ({"feature_padding": None}, None), ({"feature_padding": -1}, -1.0)):
        config.write_text(json.dumps(content))
        assert padding_of(tmp_path) == padding
    for wrong in ("[]", "{", '{"feature_padding": "much"}', '{"feature_padding": [0]}'):
        config.write_text(wrong)
        with pytest.raises(ModelError, match=r"preprocessor_config\.json"):
            padding_of(tmp_path)


def test_a_model_may_know_short_windows_only(tmp_path: Path) -> None:
    """The demo model knows single sentences; others know what Whisper was trained on."""
    assert longest_of(DEMO_FOLDER) == 8.0
    assert longest_of(tmp_path) == 30.0


def test_the_shortest_and_the_longest_window_fit() -> None:
    """More is refused with its length, less has too few frames to be aligned."""
    extract = Extractor(MEL, None)
    assert extract(loud(MIN_WINDOW_SAMPLES / 16_000))[1] == 2
    features, frames = extract(loud(MAX_WINDOW_SAMPLES / 16_000))
    assert (features.shape[1], frames) == (FULL_WINDOW_FRAMES, FULL_WINDOW_FRAMES)
    with pytest.raises(ValueError, match=r"window of 30\.1 s: the model takes 30 s"):
        extract(loud(30.1))
