"""How much later a mix comes than its tracks, on invented speech."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bot.audio.alignment import WINDOW_STEPS, Alignment
from bot.audio.frame import AudioFrame

RATE = 16_000
PIECE = 512


def _speech(seconds: float, seed: int) -> NDArray[np.int16]:
    """Noise whose level goes up and down as syllables and pauses do."""
    random = np.random.default_rng(seed)
    samples = round(seconds * RATE)
    envelope = np.repeat(random.choice([0.0, 0.0, 0.3, 1.0], size=samples // 2400 + 1), 2400)[:samples]
    return (8000 * envelope * random.uniform(-1, 1, samples)).astype(np.int16)


def _send(take: object, track: str, pcm: NDArray[np.int16], late: float, jitter: float = 0.0) -> None:
    random = np.random.default_rng(7)
    for position in range(0, len(pcm) - PIECE, PIECE):
        arrival = position / RATE + late + random.uniform(0, jitter)
        take(AudioFrame(track, pcm[position : position + PIECE], position, 1, arrival))  # type: ignore[operator]


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.74, 2.95, 7.5])
def test_delay_is_found(delay: float) -> None:
    """To within a step of 20 ms and the jitter, with noise in the mix and at another level."""
    ana, ben = _speech(20, 1), _speech(20, 2)
    ben[: 10 * RATE] = 0
    ana[8 * RATE :] = 0
    noise = np.random.default_rng(3).normal(0, 10, len(ana))
    mix = (0.5 * (ana.astype(np.int32) + ben) + noise).astype(np.int16)
    alignment = Alignment(0.0)
    _send(alignment.track, "ana", ana, 0.05, 0.02)
    _send(alignment.track, "ben", ben, 0.05, 0.02)
    _send(alignment.mix, "mix", mix, 0.05 + delay, 0.02)
    found = alignment.delay()
    assert found is not None
    assert abs(found - delay) <= 0.045


def test_nothing_is_known_without_speech() -> None:
    """Of nothing, too little, silence, one even tone, or somebody else's speech no delay follows."""
    alignment = Alignment(0.0)
    assert alignment.delay() is None
    tone = (8000 * np.sin(np.arange(20 * RATE) * 0.2)).astype(np.int16)
    for tracks, mix in [
        (_speech(2, 1), _speech(2, 1)),
        (np.zeros(20 * RATE, np.int16), np.zeros(20 * RATE, np.int16)),
        (tone, tone),
        (_speech(20, 1), _speech(20, 2)),
        (_speech(20, 1), tone),
    ]:
        alignment = Alignment(0.0)
        _send(alignment.track, "ana", tracks, 0.0)
        _send(alignment.mix, "mix", mix, 0.5)
        assert alignment.delay() is None


def test_what_repeats_itself_has_no_delay() -> None:
    """Where several lags fit, none is certain."""
    again = np.tile(_speech(1, 4), 20)
    alignment = Alignment(0.0)
    _send(alignment.track, "ana", again, 0.0)
    _send(alignment.mix, "mix", again, 0.3)
    assert alignment.delay() is None


def test_window() -> None:
    """After hours as much is kept as after half a minute; a piece from before it is too late."""
    alignment = Alignment(0.0)
    for _ in range(2):
        _send(alignment.track, "ana", _speech(50, 1), 0.0)
        _send(alignment.mix, "mix", _speech(50, 1), 0.3)
    assert alignment.delay() == pytest.approx(0.3, abs=0.021)
    assert len(alignment._tracks.levels[1]) < WINDOW_STEPS + 400
    alignment.track(AudioFrame("late", np.ones(PIECE, np.int16), 0, 1, 1.0))
    assert alignment.delay() == pytest.approx(0.3, abs=0.021)
