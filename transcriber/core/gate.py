"""Speech gate of a stream: where utterances begin and end, from one speech probability per frame."""

from __future__ import annotations

from dataclasses import dataclass

from common.audio import hysteresis
from common.audio.hysteresis import FRAME_SAMPLES, SpeechHysteresis, Thresholds

ONSET_SAMPLES = 2 * FRAME_SAMPLES
"""This much speech in a row opens the gate; a click does not."""


@dataclass(frozen=True, slots=True)
class GateSettings:
    """When the gate opens and closes. Lengths are samples."""

    threshold: float = 0.5
    """A frame at least this probable is speech."""
    release: float = 0.35
    """While open, a frame at least this probable keeps it open."""
    onset: int = ONSET_SAMPLES
    pre_roll: int = 4800
    """The utterance begins this long before its first speech frame: soft beginnings of words."""
    hangover: int = 12 * FRAME_SAMPLES
    """Silence that ends an utterance: 0.38 s. Words are heard 0.05 s longer than they are said."""


@dataclass(frozen=True, slots=True)
class Edge:
    """The gate opened, or closed, at this sample: `opened` includes the pre-roll."""

    opened: bool
    sample: int


class SpeechGate:
    """A gate over the probabilities of one stream, fed frame by frame."""

    def __init__(self, start: int = 0, settings: GateSettings | None = None) -> None:
        self._settings = settings = settings or GateSettings()
        frames = -(-settings.onset // FRAME_SAMPLES), -(-settings.hangover // FRAME_SAMPLES)
        self._speech = SpeechHysteresis(Thresholds(*frames, settings.threshold, settings.release))
        self._floor = start  # no utterance begins before: the end of the last one
        self.position = start
        """The sample after the last frame."""

    def feed(self, probability: float) -> Edge | None:
        """Takes the next frame; answers with an edge when it changes the gate."""
        self.position += FRAME_SAMPLES
        run = self._speech.run + 1  # if this frame is speech, too
        match self._speech.feed(probability):
            case hysteresis.Edge.OPENED:
                return Edge(True, max(self._floor, self.position - run * FRAME_SAMPLES - self._settings.pre_roll))
            case hysteresis.Edge.CLOSED:
                return self.close()
        return None

    def close(self) -> Edge:
        """Closes the gate here, whatever is being said."""
        self._speech.reset()
        self._floor = self.position
        return Edge(False, self.position)

    def align(self, sample: int) -> None:
        """The next frame begins here: less than one is passed over."""
        self.position = sample

    @property
    def is_open(self) -> bool:
        """An utterance is going on."""
        return self._speech.is_open

    @property
    def is_closing(self) -> bool:
        """Open, and the last frame was silence."""
        return self.is_open and self._speech.run > 0

    @property
    def earliest(self) -> int:
        """While closed: no utterance will begin before this sample."""
        return max(self._floor, self.position - self._speech.run * FRAME_SAMPLES - self._settings.pre_roll)
