"""Evidence whether the frames of a track can be heard: by their sound and their decoding, never by their number.

Encrypted frames keep their number, their clock, and often decode: to noise that is not as loud as the sender says.
"""

from __future__ import annotations

import statistics

WINDOW_FRAMES = 50
"""After so many (1 s) each time a verdict is possible."""
MAX_REFUSED_SHARE = 0.5
FLOOR_DB = -60.0
"""Below it all is silence, whatever was measured."""
MAX_MISMATCH_DB = 12.0
"""The median of what a frame sounds like beside what its sender says (RFC 6464)."""
STARVING_REPORTS = 3
"""Seconds in which packets arrived in the page and no frame of them here."""


class Evidence:
    """One track's, while it is captured as frames."""

    def __init__(self) -> None:
        self._frames = self._refused = self._starving = 0
        self._mismatches: list[float] = []
        self._came = False

    def frame(self, level: int | None, loudness: float | None, refused: bool) -> str | None:
        """Takes what became of one frame; returns why the track cannot be heard this way, if that is so.

        Args:
            level: dB below full scale, as the packet says; None: it does not.
            loudness: dBFS of what was decoded; None: nothing was yet.
            refused: The decoder would not have it.
        """
        self._came, self._starving = True, 0
        self._frames += 1
        self._refused += refused
        if level is not None and loudness is not None:
            self._mismatches.append(abs(max(loudness, FLOOR_DB) - max(float(-level), FLOOR_DB)))
        if self._frames < WINDOW_FRAMES:
            return None
        refusals, mismatches = self._refused, self._mismatches
        self._frames = self._refused = 0
        self._mismatches = []
        if refusals > WINDOW_FRAMES * MAX_REFUSED_SHARE:
            return f"{refusals} of {WINDOW_FRAMES} frames do not decode"
        if len(mismatches) >= WINDOW_FRAMES // 2 and statistics.median(mismatches) > MAX_MISMATCH_DB:
            return f"it sounds {statistics.median(mismatches):.0f} dB unlike what its sender says: encrypted"
        return None

    def received(self) -> str | None:
        """Takes the page's report that packets of the track arrived in the last second; returns as `frame` does."""
        self._starving = 0 if self._came else self._starving + 1
        self._came = False
        if self._starving < STARVING_REPORTS:
            return None
        return "its packets arrive, and no frame of them"
