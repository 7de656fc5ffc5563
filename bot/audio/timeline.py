"""A timeline: where the samples of one track belong in the meeting.

A sender's clock says how its samples follow each other, exactly, but not when that was; their arrival says when, but
only to within the network's jitter. The difference of both, `arrival - position / rate`, is a constant (the anchor)
plus each piece's delay on the way, which is never negative. So the anchor is a minimum: jitter and the burst after a
stall lie above it.
"""

from __future__ import annotations

from common.audio.pcm import SAMPLE_RATE

FIRST_DELAY_S = 0.020
"""Seconds that the first piece of a source is assumed to have been delayed: of 60 ms of jitter, at most 40 remain."""
TOLERANCE_S = 0.010
"""Seconds the placement may be off before it is corrected: jitter of the estimate must not touch the audio."""
SLEW_SAMPLES = 160
"""A correction inside contiguous audio moves one sample in so many (0.6 %): inaudible, and faster than clocks drift."""
LEAP_S = 0.100
"""Seconds: an error above this is no drift. The sender's clock stopped: the placement jumps. Or the first piece came
very late: ..."""
CATCH_UP_SAMPLES = 20
"""... one sample in so many is dropped until the error is small. Placed too late is wrong, lost would be worse."""
WINDOW_S = 1.0
"""Seconds, and ..."""
WINDOW_PIECES = 20
"""... pieces over which a minimum of delays is taken, to see that the anchor must move later."""
FORGET_S = 30.0
"""Seconds without audio after which the anchor is taken anew: clocks drift 6 ms in that time."""


class Timeline:
    """The clock of one track.

    Args:
        zero: Monotonic seconds of meeting time zero.
    """

    def __init__(self, zero: float) -> None:
        self._zero = zero
        self._source: int | None = None
        self._anchor = 0.0  # monotonic seconds of position 0
        self._arrival = 0.0  # of the last piece
        self._position = 0  # after the last piece, on the sender's clock
        self._end = 0  # meeting sample after the last piece
        self._window = _Window(0.0)
        self._low_before: float | None = None  # minimum of the window before

    def place(self, position: int, source: int, arrival: float, samples: int) -> int:
        """Meeting sample (16 kHz since zero) of a piece's first sample.

        Pieces never go backwards. When the sender's clock is faster than ours, a piece may start a few samples before
        the end of the one before it (at most 1 in 160 of its own; 1 in 20 after a very late first piece): the listener
        drops these (the speech gate does).

        Args:
            position: Of the first sample, on the sender's 16 kHz clock.
            source: What that clock belongs to.
            arrival: When the first sample could have been heard, monotonic seconds.
            samples: Length of the piece.
        """
        known = source == self._source and arrival - self._arrival < FORGET_S
        self._follow(arrival - position / SAMPLE_RATE, arrival, known)
        ideal = round((self._anchor - self._zero) * SAMPLE_RATE) + position
        start = self._end + self._correction(ideal, position, samples, known)
        self._source, self._arrival = source, arrival
        self._position, self._end = position + samples, start + samples
        return start

    def _follow(self, anchor: float, arrival: float, known: bool) -> None:
        """Lets one piece's estimate move the anchor: earlier at once, later after two windows agree."""
        if not known:
            self._anchor = anchor - FIRST_DELAY_S
            self._window, self._low_before = _Window(arrival), None
        self._anchor = min(self._anchor, anchor)
        window = self._window
        window.add(anchor)
        if arrival - window.since < WINDOW_S or window.pieces < WINDOW_PIECES:
            return
        # Two windows that agree: a stall that drains slowly shows falling minima instead.
        if self._low_before is not None and abs(window.low - self._low_before) < TOLERANCE_S:
            later = min(window.low, self._low_before)
            if later - self._anchor > TOLERANCE_S / 2:
                self._anchor = later
        self._window, self._low_before = _Window(arrival), window.low

    def _correction(self, ideal: int, position: int, samples: int, known: bool) -> int:
        """Samples between the end of the last piece and this one's start."""
        error = ideal - self._end
        gap = position - self._position
        if not known or gap > 0:
            return max(error, 0)
        if error > LEAP_S * SAMPLE_RATE:
            return error
        allowed = round(TOLERANCE_S * SAMPLE_RATE)
        wanted = max(error - allowed, 0) + min(error + allowed, 0)
        limit = samples // (SLEW_SAMPLES if error > -LEAP_S * SAMPLE_RATE else CATCH_UP_SAMPLES)
        return max(-limit, min(wanted, limit))


class _Window:
    """The least anchor estimate since a moment."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.low = float("inf")
        self.pieces = 0

    def add(self, anchor: float) -> None:
        self.low = min(self.low, anchor)
        self.pieces += 1
