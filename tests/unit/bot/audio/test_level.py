"""The level meter of bots that do not transcribe."""

from __future__ import annotations

import math

import numpy as np

from bot.audio import level
from bot.audio.frame import AudioFrame
from bot.audio.level import LevelMeter


def frame(track: str, arrival: float, value: int) -> AudioFrame:
    """20 ms of a square wave."""
    return AudioFrame(track, np.full(320, value, np.int16), round(arrival * 16_000), 1, arrival)


def test_once_a_second_a_track_says_what_it_sounded_like() -> None:
    """Level, samples and frames since the last time; zeros are -inf."""
    meter = LevelMeter()
    reports = [meter.frame(frame("loud", 0.02 * n, 32767)) for n in range(101)]
    found = [report for report in reports if report is not None]
    assert [report.samples for report in found] == [51 * 320, 50 * 320]
    assert [report.frames for report in found] == [51, 50]
    assert all(abs(report.level_dbfs) < 0.01 and not report.speech for report in found)
    quiet = [meter.frame(frame("quiet", 0.5 * n, 0)) for n in range(3)]
    assert quiet[2] is not None
    assert quiet[2].level_dbfs == -math.inf


def test_tracks_are_bounded() -> None:
    """Somebody who opens thousands costs nothing."""
    meter = LevelMeter()
    for number in range(level.MAX_TRACKS + 10):
        meter.frame(frame(str(number), 0.0, 1))
    assert meter.frame(frame("0", 5.0, 1)) is None, "forgotten"
    assert meter.frame(frame("20", 5.0, 1)) is not None
