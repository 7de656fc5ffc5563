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


def test_what_is_counted_is_reported_once() -> None:
    """Frames, and samples gated and sent; a report before its time is due when speech ends, if anything came."""
    meter = Meter(10.0)
    assert meter.report("t", 10.0) is None
    meter.measure(frame(10.0, 3277))
    meter.gated, meter.sent, meter.clear = 6000, 5000, 4000
    report = meter.report("t", 10.5, speech=True)
    assert report is not None
    assert (report.frames, report.gated, report.sent, report.clear, report.speech) == (1, 6000, 5000, 4000, True)
    meter.sent = 4000  # what waited
    assert meter.report("t", 10.6) is None
    report = meter.measure(frame(11.6, 3277))
    assert report is not None
    assert (report.gated, report.sent, report.clear, report.speech) == (0, 4000, 0, False)
