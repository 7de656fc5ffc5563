"""Presentation times to positions: where decoded samples lie on their sender's 16 kHz clock.

A container's time stamps are coarse (FLV: whole milliseconds) and say when a piece is to be played; the samples say how
long it is. Contiguous pieces follow each other by their samples, so that rounding moves nothing. Only a stamp that lies
clearly elsewhere is believed: time in which nothing was sent, or another clock.
"""

from __future__ import annotations

from common.audio.pcm import SAMPLE_RATE

HOLE_S = 0.06
"""Seconds by which a stamp must be later than the end of the piece before it to be a hole: over two frames of AAC."""
BACK_S = 0.5
"""Seconds by which it must be earlier to be another clock: publishers shift a little where they join streams."""
MAX_HOLE_S = 10.0
"""A longer hole is another clock: over so long, when the next piece comes says more than what is written on it."""


class PresentationClock:
    """The clock of one stream of decoded pieces."""

    def __init__(self) -> None:
        self._position = 0
        self._due: float | None = None  # the stamp that the next piece has if nothing is missing, seconds
        self.restarts = 0
        """How often the sender's clock began anew: positions do, too."""

    def place(self, stamp: float | None, samples: int) -> int:
        """The position of a piece's first sample, 16 kHz samples. It goes back only where `restarts` grows.

        Args:
            stamp: When the piece is to be played, seconds on the sender's clock; None: after the one before.
            samples: Its length at 16 kHz.
        """
        late = 0.0 if stamp is None or self._due is None else stamp - self._due
        if late < -BACK_S or late > MAX_HOLE_S:
            self.restarts += 1
            self._position = 0
        elif late > HOLE_S:
            self._position += round(late * SAMPLE_RATE)
        position = self._position
        self._position += samples
        begin = stamp if stamp is not None else self._due
        self._due = None if begin is None else begin + samples / SAMPLE_RATE
        return position
