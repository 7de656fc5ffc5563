"""Pauses of a room, on invented sound."""

from __future__ import annotations

import numpy as np
import pytest

from bot.audio.frame import AudioFrame
from bot.audio.pauses import PAUSE_S, Pauses

STEP_S = 0.032


def _hear(pauses: Pauses, track: str, level: float, begin: float, end: float) -> None:
    random = np.random.default_rng(1)
    for step in range(round(begin / STEP_S), round(end / STEP_S)):
        pcm = (level * random.uniform(-1, 1, 512)).astype(np.int16)
        pauses.frame(AudioFrame(track, pcm, step * 512, 1, step * STEP_S))


def test_nothing_heard_is_no_pause() -> None:
    """As long as no track has sent anything nobody knows, nor right after the first piece."""
    pauses = Pauses()
    assert pauses.middle(100.0) is None
    _hear(pauses, "ana", 0, 0, 0.1)
    assert pauses.middle(0.2) is None
    assert pauses.middle(PAUSE_S) == pytest.approx(PAUSE_S / 2)


@pytest.mark.parametrize("noise", [0, 5, 60])
def test_pause_begins_after_the_last_word_of_anybody(noise: float) -> None:
    """Noise is none, soft or loud; the pause's middle lies after the word, and before now."""
    pauses = Pauses()
    _hear(pauses, "ana", noise, 0, 3)
    _hear(pauses, "ben", noise, 0, 3)
    assert pauses.middle(3.0) is not None
    _hear(pauses, "ana", 6000, 3, 4)
    assert pauses.middle(4.0) is None
    _hear(pauses, "ben", 6000, 4, 4.3)
    _hear(pauses, "ana", noise, 4, 5)
    _hear(pauses, "ben", noise, 4.3, 5)
    assert pauses.middle(4.7) is None
    middle = pauses.middle(4.85)
    assert middle is not None
    assert 4.5 < middle < 4.7


def test_sound_that_stays_is_noise_in_the_end() -> None:
    """A fan that is switched on is no speech for ever."""
    pauses = Pauses()
    _hear(pauses, "ana", 5, 0, 3)
    _hear(pauses, "ana", 500, 3, 8)
    assert pauses.middle(8.0) is None
    _hear(pauses, "ana", 500, 8, 40)
    assert pauses.middle(40.0) is not None
