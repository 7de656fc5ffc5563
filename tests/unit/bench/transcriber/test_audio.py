"""The benchmark's tracks."""

from __future__ import annotations

import numpy as np
import pytest

from bench.transcriber.audio import FLOOR, RATE, noise, track


def test_a_track_says_what_it_claims() -> None:
    """Sound within utterances, the noise floor between them, pauses of 0.9 to 1.5 s, other words for other seeds."""
    made = track(1, 30.0, 1.0)
    assert len(made.samples) / RATE == pytest.approx(30.0, abs=4.0)
    for before, after in zip(made.spoken, made.spoken[1:], strict=False):
        assert 0.89 < after.start - before.end < 1.51
        quiet = made.samples[round((before.end + 0.1) * RATE) : round((after.start - 0.12) * RATE)]
        loud = made.samples[round(after.start * RATE) : round(after.end * RATE)]
        assert np.sqrt(np.mean(quiet**2)) < 2 * FLOOR < 0.01 < np.sqrt(np.mean(loud**2))
    assert made.spoken == track(1, 30.0, 1.0).spoken
    assert made.spoken[0].text != track(2, 30.0, 1.0).spoken[0].text
    assert len(made.tail) / RATE == pytest.approx(made.last.end, abs=0.001)


def test_the_share_of_talk_is_kept() -> None:
    """A quarter of the time, over a long track."""
    made = track(1, 300.0, 0.25)
    spoken = sum(utterance.end - utterance.start for utterance in made.spoken)
    assert spoken / (len(made.samples) / RATE) == pytest.approx(0.25, abs=0.02)


def test_digital_silence_is_all_zeros() -> None:
    """And noise has the level that is asked for."""
    assert not noise(0, 1.0, 0.0).any()
    assert float(np.std(noise(0, 2.0, 0.01))) == pytest.approx(0.01, rel=0.02)
