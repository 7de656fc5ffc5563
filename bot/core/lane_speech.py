"""Speech options of each lane: as they were asked for when the lane was opened, whatever is asked for later.

A lane that connects anew sends again what was said before a change. Settings that no server takes are given up: lanes
that were opened with them go on with the last ones that a server took, or with newer ones that were asked for since.
"""

from __future__ import annotations

from bot.core.requests import SpeechSettings


class LaneSpeech:
    """The settings of the open lanes, and of those to come.

    Args:
        speech: At first; a server has taken them.
    """

    def __init__(self, speech: SpeechSettings) -> None:
        self.current = speech
        """Of lanes to come."""
        self._proven: SpeechSettings | None = None  # what was in use before changes that no server has taken yet
        self._lanes: dict[int, SpeechSettings] = {}
        self._was_refused = False

    def change(self, speech: SpeechSettings) -> None:
        """Lanes to come are opened with these."""
        self._proven = self._proven or self.current
        self.current = speech

    def opened(self, lane: int) -> None:
        """It has the current ones from now on."""
        self._lanes[lane] = self.current

    def closed(self, lane: int) -> None:
        """It sends nothing any more."""
        self._lanes.pop(lane, None)

    def of(self, lane: int) -> SpeechSettings:
        """With which it connects."""
        return self._lanes.get(lane, self.current)

    def taken(self, lane: int) -> bool:
        """A server has taken those of a lane. True if that ends the trouble that others were refused."""
        if self._proven is None or self._lanes.get(lane) != self.current:
            return False
        self._proven = None
        ends_trouble, self._was_refused = self._was_refused, False
        return ends_trouble

    def refused(self, lane: int) -> bool:
        """No server takes those of a lane. True if what was asked for last is thereby given up."""
        refused = self._lanes.get(lane)
        if refused is None or refused == self._proven:
            return False  # it is over; or a server took them, and something else is refused
        if refused != self.current:
            self._lanes[lane] = self.current
            return False
        if self._proven is None:
            return False
        self.current, self._proven, self._was_refused = self._proven, None, True
        self._lanes = {lane: self.current if speech == refused else speech for lane, speech in self._lanes.items()}
        return True
