"""Where the speech of a clip begins and ends."""

from __future__ import annotations

import numpy as np

from bench.tracks import speech_bounds


def test_a_click_is_no_onset_and_what_is_faint_is_no_speech() -> None:
    """10 ms of click at 0.1 s, speech from 0.5 to 1.5 s, hum 40 dB below it to the end at 2 s."""
    sound = np.zeros(32_000, np.int16)
    sound[1600:1760] = 8000
    sound[8000:24_000] = 8000
    sound[24_000:] = 80
    assert speech_bounds(sound) == (0.5, 1.5)
