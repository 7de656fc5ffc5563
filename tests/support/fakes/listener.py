"""A `Listener` that remembers, checks what every platform owes, and lets tests wait for what they expect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bot.audio.frame import AudioFrame
from bot.core import events as ev
from bot.core.events import PlatformEvent
from tests.support.audio.sounds import pitch

RATE = 16_000
E = TypeVar("E")


class RecordingListener:
    """Records events and audio with their arrival (monotonic seconds) and the state they add up to.

    Breaches of the platform interface are collected in `breaches`, so that every test checks them at its end.
    """

    def __init__(self, patience: float = 30.0) -> None:
        self.patience = patience
        """Seconds that `until` waits, if it is not told otherwise."""
        self.events: list[tuple[float, PlatformEvent]] = []
        self.frames: list[tuple[float, AudioFrame]] = []
        self.names: dict[str, str] = {}
        self.owner: dict[str, str | None] = {}
        self.muted: set[str] = set()
        self.breaches: list[str] = []
        self.over: str | None = None
        """How the platform ended: nothing more comes."""
        self._position: dict[tuple[str, int], int] = {}
        self._changed = asyncio.Event()

    def event(self, event: PlatformEvent) -> None:
        """Records the event and follows the state."""
        self.events.append((time.monotonic(), event))
        match event:
            case ev.Admitted():
                self.names.clear()
                self.owner.clear()
                self.muted.clear()
            case ev.ParticipantJoined(participant, name) | ev.ParticipantRenamed(participant, name):
                self.names[participant] = name
            case ev.ParticipantLeft(participant):
                self.names.pop(participant, None)
                if participant in self.owner.values():
                    self.breaches.append(f"{participant} left before its tracks were closed")
            case ev.TrackOpened(track, owner):
                if owner is not None and owner not in self.names:
                    self.breaches.append(f"track {track} of {owner}, who has not joined")
                self.owner[track] = owner
                self.muted.discard(track)
            case ev.TrackClosed(track):
                self.owner.pop(track, None)
            case ev.TrackMuted(track):
                self.muted.add(track)
            case ev.TrackUnmuted(track):
                self.muted.discard(track)
            case _:
                pass
        if not self.admitted and not isinstance(event, ev.LobbyEntered | ev.HelpNeeded):
            self.breaches.append(f"{event} before admission")
        self._changed.set()

    def audio(self, frame: AudioFrame) -> None:
        """Records the frame and checks it against the interface."""
        now = time.monotonic()
        self.frames.append((now, frame))
        track, key = frame.track_id, (frame.track_id, frame.source)
        if track not in self.owner:
            self.breaches.append(f"audio of the unopened track {track}")
        if track in self.muted:
            self.breaches.append(f"audio of the muted track {track}")
        if frame.pcm.dtype != np.int16 or frame.pcm.ndim != 1 or not 0 < frame.pcm.size <= RATE:
            self.breaches.append(f"a frame of {frame.pcm.dtype}, shape {frame.pcm.shape}")
        if frame.position < self._position.get(key, frame.position):
            self.breaches.append(f"{track} went back to sample {frame.position}")
        self._position[key] = frame.position + frame.pcm.size
        if frame.arrival > now + 0.001:
            self.breaches.append(f"{track} has audio from the future: {frame.arrival - now:.3f} s")
        self._changed.set()

    @property
    def admitted(self) -> bool:
        """Whether we have been let in."""
        return self.count(ev.Admitted) > 0

    def count(self, kind: type[PlatformEvent]) -> int:
        """How many events of the kind there were."""
        return sum(isinstance(event, kind) for _, event in self.events)

    def of(self, kind: type[E]) -> list[E]:
        """The events of the kind, in order."""
        return [event for _, event in self.events if isinstance(event, kind)]

    @property
    def sounding(self) -> set[str]:
        """The tracks of which samples have come, open or not."""
        return {frame.track_id for _, frame in self.frames}

    @property
    def uncounted(self) -> set[str]:
        """Tracks of nobody in particular in which something is said, while nobody was ever said to be there: the rules
        about who is there would end the meeting."""
        if self.count(ev.ParticipantJoined) or self.count(ev.PeopleCounted):
            return set()
        mixes = {event.track_id for event in self.of(ev.TrackOpened) if event.participant_id is None}
        return {frame.track_id for _, frame in self.frames if frame.track_id in mixes and np.abs(frame.pcm).max() > 8}

    def heard(self, participant: str, since: float = 0.0) -> NDArray[np.int16]:
        """What arrived after `since` (monotonic seconds) of the participant's tracks, and of mixes: int16 at 16 kHz."""
        owner = {event.track_id: event.participant_id for event in self.of(ev.TrackOpened)}
        theirs = {track for track, whose in owner.items() if whose in (participant, None)}
        parts = [frame.pcm for at, frame in self.frames if at >= since and frame.track_id in theirs]
        return np.concatenate(parts) if parts else np.zeros(0, np.int16)

    def pitch(self, participant: str, since: float = 0.0) -> float | None:
        """The dominant frequency in Hz of the participant's last 0.5 s; None if there is less, or no sound."""
        return pitch(self.heard(participant, since))

    async def until(self, condition: Callable[[], object], what: str, timeout: float | None = None) -> None:
        """Waits until `condition()` is true; asked after every event and frame.

        Raises:
            AssertionError: It did not come true in time; says what was waited for and what came instead.
        """
        timeout = timeout or self.patience
        try:
            async with asyncio.timeout(timeout):
                while not condition() and self.over is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            why = f"not within {timeout} s"
        else:
            why = f"the platform has ended: {self.over}"
        if not condition():
            seen = [event for _, event in self.events]
            raise AssertionError(f"{why}: {what}; {len(self.frames)} frames, events: {seen}")
