"""What a track sounds like, once a second."""

from __future__ import annotations

import math

import numpy as np

from bot.audio.frame import AudioFrame
from bot.audio.meter import Meter


def frame(arrival: float, amplitude: int) -> AudioFrame:
    """Half a second at one level."""
    return AudioFrame("t", np.full(8000, amplitude, np.int16), 0, 1, arrival)


def test_a_report_a_second() -> None:
    """Samples, level and whether there was speech at any time since the last; zeros are minus infinity."""
    meter = Meter(10.0)
    assert meter.measure(frame(10.0, 3277), speech=True) is None
    assert meter.measure(frame(10.9, 3277)) is None
    report = meter.measure(frame(11.0, 3277))
    assert report is not None
    assert (report.track_id, report.samples, round(report.level_dbfs), report.speech) == ("t", 24000, -20, True)
    assert meter.measure(frame(11.5, 0)) is None
    report = meter.measure(frame(12.0, 0))
    assert report is not None
    assert (report.samples, report.level_dbfs, report.speech) == (16000, -math.inf, False)
