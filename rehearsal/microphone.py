"""A participant's microphone: what it picks up, in packets' worth of samples, and the truth about what was heard."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rehearsal.clips import CLIP_RATE, Clip

FRAME_SAMPLES = 960
"""Samples at 48 kHz in one packet: 20 ms."""


@dataclass(frozen=True, slots=True)
class Truth:
    """One row: a clip that went out over an open microphone.

    Times are seconds since the first bot was admitted, as it really happened, of the first and last sample of speech.
    """

    participant: str
    name: str
    """Display name when the speech began."""
    text: str | None
    start: float
    end: float
    end_utc: float
    """Wall clock (seconds since 1970) of the end, to measure latency."""
    complete: bool
    """False: part of the speech was not sent (muted, left, or interrupted by a next clip)."""


ROOM_TONE = np.random.default_rng(0).normal(0, 10, FRAME_SAMPLES).round().astype(np.int16)
"""What an open microphone hears when nobody speaks, about -70 dBFS: digital zeros would mean a broken one."""


@dataclass(slots=True)
class _SpokenClip:
    clip: Clip
    first: int  # sample index of the clip's beginning, since script time zero
    text: str | None
    name: str
    start: float | None = None
    end: float = 0.0
    end_utc: float = 0.0
    missed: bool = False
    over: bool = False  # the speech is; silence may follow

    def speech(self) -> tuple[int, int]:
        return self.first + self.clip.speech[0], self.first + self.clip.speech[1]


class Microphone:
    """One participant's microphone: room tone, and clips at their sample-exact places.

    Args:
        participant: Identity for the truth rows.
    """

    def __init__(self, participant: str) -> None:
        self._participant = participant
        self._now: _SpokenClip | None = None

    def speak(self, clip: Clip, first: int, text: str | None, name: str) -> list[Truth]:
        """Begins a clip at sample `first` (48 kHz, since script time zero); one that is not over yet stops."""
        interrupted = self.stop()
        self._now = _SpokenClip(clip, first, text, name)
        return interrupted

    def stop(self) -> list[Truth]:
        """Ends what is being said; returns its row if part of it was sent."""
        cut, self._now = self._now, None
        if cut is None or cut.over:
            return []
        cut.missed = True
        return self._row(cut)

    def capture(self, frame: int) -> NDArray[np.int16]:
        """The samples of frame number `frame`: int16 mono at 48 kHz, shape (960,)."""
        if self._now is None or frame * FRAME_SAMPLES >= self._now.first + self._now.clip.pcm.size:
            return ROOM_TONE
        pcm = ROOM_TONE.copy()
        offset = frame * FRAME_SAMPLES - self._now.first
        piece = self._now.clip.pcm[max(offset, 0) : max(offset + FRAME_SAMPLES, 0)]
        pcm[max(-offset, 0) : max(-offset, 0) + piece.size] = piece
        return pcm

    def captured(self, frame: int, sent: bool, lag: float, wall: float) -> list[Truth]:
        """Notes whether a frame went out; returns the row of a clip whose speech ended in it.

        Args:
            frame: Its number.
            sent: It was not held back by mute.
            lag: Seconds by which it went out later than scheduled.
            wall: Wall clock when it went out.
        """
        now = self._now
        begin, after = frame * FRAME_SAMPLES, (frame + 1) * FRAME_SAMPLES
        if now is None or now.over or after <= now.speech()[0]:
            return []
        first, last = now.speech()
        if sent:
            if now.start is None:
                now.start = max(begin, first) / CLIP_RATE + lag
            now.end = min(after, last) / CLIP_RATE + lag
            now.end_utc = wall - (after - min(after, last)) / CLIP_RATE
        else:
            now.missed = True
        now.over = after >= last
        return self._row(now) if now.over else []

    def _row(self, said: _SpokenClip) -> list[Truth]:
        if said.start is None:
            return []
        times = round(said.start, 3), round(said.end, 3), round(said.end_utc, 3)
        return [Truth(self._participant, said.name, said.text, *times, complete=not said.missed)]
