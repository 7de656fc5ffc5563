"""Clear speech that no transcriber has answered, if none ever has: the evidence that ends a bot (`transcriber_mute`).

Only what a person cannot mistake counts, and only while it keeps coming: music on hold before a meeting passes for
speech now and then, and a stock server is right to say nothing to it, for however long.
"""

from __future__ import annotations

from collections import deque

from common.audio.pcm import SAMPLE_RATE

MUTE_SAMPLES = 30 * SAMPLE_RATE
"""Samples of clear speech without an answer, ..."""
MUTE_WINDOW_S = 900.0
"""... within so many seconds, from which on a transcriber counts as mute."""
PIECE_S = 10.0
"""Seconds of which the speech is kept as one number: there are at most 91."""


class UnheededSpeech:
    """What was said in the last while, and has got no answer."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[float, int]] = deque()
        self.since: float | None = None
        """Since when the transcriber counts as mute: the first of what it did not answer. As of the last look."""

    def add(self, samples: int, now: float) -> None:
        """So much clear speech was sent."""
        if not samples:
            return
        if self._pieces and now - self._pieces[-1][0] < PIECE_S:
            first, before = self._pieces.pop()
            self._pieces.append((first, before + samples))
        else:
            self._pieces.append((now, samples))

    def forget(self) -> None:
        """An answer came, or everything begins anew."""
        self._pieces.clear()
        self.since = None

    def look(self, now: float) -> None:
        """Time has passed: what is older than the window proves nothing any more."""
        while self._pieces and now - self._pieces[0][0] > MUTE_WINDOW_S:
            self._pieces.popleft()
        if sum(samples for _, samples in self._pieces) < MUTE_SAMPLES:
            self.since = None
        elif self.since is None:
            self.since = self._pieces[0][0]
