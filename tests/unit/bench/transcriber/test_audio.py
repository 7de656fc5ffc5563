"""The benchmark's tracks."""

from __future__ import annotations

import numpy as np
import pytest

from bench.transcriber.audio import (
    FLOOR,
    RATE,
    STRETCH_S,
    TURN_PAUSES_S,
    Clips,
    Samples,
    monologue,
    noise,
    sentences,
    track,
    turns,
)
from bench.transcriber.score import Spoken


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


def clips() -> Clips:
    """The bundled ones as if they were longer than their speech, and one word."""

    def quiet(seconds: float) -> Samples:
        return np.zeros(round(seconds * RATE), np.float32)

    found = {
        name: (np.concatenate([quiet(0.4), clip, quiet(0.6)]), Spoken(said.start + 0.4, said.end + 0.4, said.text))
        for name, (clip, said) in sentences().items()
    }
    return found | {"no": (quiet(1.0) + np.float32(0.1), Spoken(0.2, 0.8, "No."))}


def test_turns_are_whole_clips_with_pauses_between() -> None:
    """Each once before one comes again, nobody goes on, the pause on top of what is quiet in the clips."""
    made = turns(1, 120.0, clips())
    said = [utterance.text for utterance in made.spoken]
    assert len(set(said[:25])) == 25
    assert "No." in said
    assert not any(utterance.goes_on for utterance in made.spoken)
    for before, after in zip(made.spoken, made.spoken[1:], strict=False):
        assert TURN_PAUSES_S[0] < after.start - before.end < TURN_PAUSES_S[1] + 1.6
        loud = made.samples[round(after.start * RATE) : round(after.end * RATE)]
        assert np.sqrt(np.mean(loud**2)) > 0.01


def test_a_monologue_goes_on_in_stretches() -> None:
    """Clips without their quiet edges, a pause after half a minute of them, one at the end, no answers of one word."""
    made = monologue(1, 100.0, clips())
    stretch = 0.0
    for before, after in zip(made.spoken, made.spoken[1:], strict=False):
        stretch += before.end - before.start
        assert before.goes_on == (stretch < STRETCH_S)
        assert (after.start - before.end < 0.2) == before.goes_on
        stretch *= before.goes_on
    assert sum(not utterance.goes_on for utterance in made.spoken) == 3
    assert not made.spoken[-1].goes_on
    assert "No." not in [utterance.text for utterance in made.spoken]


def test_the_share_of_talk_is_kept() -> None:
    """A quarter of the time, over a long track."""
    made = track(1, 300.0, 0.25)
    spoken = sum(utterance.end - utterance.start for utterance in made.spoken)
    assert spoken / (len(made.samples) / RATE) == pytest.approx(0.25, abs=0.02)


def test_digital_silence_is_all_zeros() -> None:
    """And noise has the level that is asked for."""
    assert not noise(0, 1.0, 0.0).any()
    assert float(np.std(noise(0, 2.0, 0.01))) == pytest.approx(0.01, rel=0.02)
