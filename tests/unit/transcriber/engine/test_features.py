"""Encoder inputs: as small as the speech allows, and padded with what silence really looks like."""

from __future__ import annotations

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor

from transcriber.core.windows import Window
from transcriber.engine.features import (
    MAX_WINDOW_SAMPLES,
    MEL_FLOOR,
    MIN_WINDOW_SAMPLES,
    Extractor,
    bucket,
)
from transcriber.engine.window_sizes import FULL_WINDOW_FRAMES, WindowSizes

MEL = FeatureExtractor()


def loud(seconds: float) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """Noise."""
    return np.random.default_rng(1).normal(0, 3000, int(seconds * 16_000)).astype(np.int16)


def test_windows_are_as_small_as_the_model_allows() -> None:
    """The next size that leaves the margin, no shorter than the pass may have; the full one when asked for."""
    assert [bucket(frames) for frames in (0, 600, 601, 1500, 2970, 3001)] == [600, 600, 800, 1500, 3000, 3000]
    extract = Extractor(MEL, WindowSizes(partial=600, careful=1500, margin=100))
    sizes = {
        (seconds, careful): extract(Window(loud(seconds), careful=careful))[0].shape[1]
        for seconds in (2, 5.1, 14.1)
        for careful in (False, True)
    }
    assert sizes == {
        (2, False): 600, (2, True): 1500, (5.1, False): 800, (5.1, True): 1500, (14.1, False): 3000, (14.1, True): 3000,
    }  # fmt: skip
    assert extract(Window(loud(2)))[1] == 200
    assert extract(Window(loud(2), full=True))[0].shape == (80, FULL_WINDOW_FRAMES)
    assert Extractor(MEL, WindowSizes())(Window(loud(1)))[0].shape == (80, FULL_WINDOW_FRAMES)


def test_a_final_is_as_long_as_its_language_needs() -> None:
    """By what was measured; elsewhere full. Where it is to be found, and under load, as short as any may be."""
    extract = Extractor(MEL, WindowSizes(partial=600, careful={"en": 1500, "es": 1250}, margin=100))
    final = Window(loud(2), careful=True)
    sizes = [extract(final, language)[0].shape[1] for language in ("en", "es", "de", None)]
    assert sizes == [1500, 1250, FULL_WINDOW_FRAMES, 1250]
    hurried = Window(loud(2), careful=True, hurried=True)
    assert [extract.size(hurried, 200, language) for language in ("en", "de", None)] == [1500, 1250, 1250]
    assert extract(Window(loud(2)), "de")[0].shape[1] == 600
    assert Extractor(MEL, WindowSizes(careful={}))(final)[0].shape[1] == FULL_WINDOW_FRAMES


def test_short_windows_are_padded_with_true_silence() -> None:
    """Exactly what the extractor makes of the audio with zeros behind it, but for the edge that the zeros blur."""
    for speech in (loud(2), loud(1) // 1000, np.zeros(16_000, np.int16)):
        features, frames = Extractor(MEL, WindowSizes(partial=600))(Window(speech))
        silent = np.pad(speech, (0, 600 * 160 - len(speech))).astype(np.float32) / np.float32(32768)
        np.testing.assert_allclose(features[:, frames + 2 :], MEL(silent)[:, frames + 2 : 600], atol=1e-4)
    assert features[0, -1] == MEL_FLOOR


def test_a_model_may_ask_for_another_padding() -> None:
    """A value after the speech that its training had there."""
    features, _ = Extractor(MEL, WindowSizes(padding=0.25))(Window(loud(1)))
    assert features[:, -1].tolist() == [0.25] * 80


def test_a_window_of_a_recording_is_full_unless_the_model_knows_short_ones_only() -> None:
    """As it was trained; the demo model was on single sentences."""
    window = Window(loud(3), careful=True, packed=True)
    short = {"partial": 600, "careful": 600, "margin": 30}
    assert Extractor(MEL, WindowSizes(**short))(window)[0].shape[1] == FULL_WINDOW_FRAMES
    assert Extractor(MEL, WindowSizes(**short, packed=800))(window)[0].shape[1] == 600


def test_the_shortest_and_the_longest_window_fit() -> None:
    """More is refused with its length, less has too few frames to be aligned."""
    extract = Extractor(MEL, WindowSizes())
    assert extract(Window(loud(MIN_WINDOW_SAMPLES / 16_000)))[1] == 2
    features, frames = extract(Window(loud(MAX_WINDOW_SAMPLES / 16_000)))
    assert (features.shape[1], frames) == (FULL_WINDOW_FRAMES, FULL_WINDOW_FRAMES)
    with pytest.raises(ValueError, match=r"window of 30\.1 s: the model takes 30 s"):
        extract(Window(loud(30.1)))
