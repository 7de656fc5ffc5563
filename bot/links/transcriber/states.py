"""The state of each lane's link, and what all of them together say of the transcriber's health. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LinkState(StrEnum):
    """What a lane knows of its way to a transcriber."""

    UP = "up"
    """A server took the lane on, or has decided about something since the last trouble."""
    LOST = "lost"
    """There is no connection, or one that has yet to prove itself after trouble."""
    MUTE = "mute"
    """Speech was sent and nothing came back."""
    CLOSED = "closed"
    """The lane is over, or has nothing to say for now."""


@dataclass(frozen=True, slots=True)
class TranscriberHealth:
    """What the links say together."""

    healthy: bool
    detail: str


class LinkStates:
    """One state per lane, told as one thing: unhealthy as long as any lane is."""

    def __init__(self) -> None:
        self._states: dict[int, tuple[LinkState, str]] = {}
        self._told = LinkState.UP

    def change(self, lane: int, state: LinkState, detail: str) -> TranscriberHealth | None:
        """A lane's state; returns what is to be said about all of them, None when that is as before."""
        if state is LinkState.CLOSED:
            self._states.pop(lane, None)
        else:
            self._states[lane] = (state, detail)
        worst = max((state for state, _ in self._states.values()), key=_SEVERITY.index, default=self._told)
        if worst is self._told:  # also when nobody is left who could know better
            return None
        self._told = worst
        details = [said for state, said in self._states.values() if state is worst]
        several = f" ({len(details)} of {len(self._states)} lanes)" if worst is not LinkState.UP else ""
        return TranscriberHealth(worst is LinkState.UP, details[0] + several)

    @property
    def are_stale(self) -> bool:
        """Trouble was told, and no lane is left to say that it is over: somebody has to look."""
        return not self._states and self._told is not LinkState.UP

    def visited(self, detail: str) -> TranscriberHealth | None:
        """A server takes audio; returns what is to be said, None while there is a lane, which knows better."""
        if not self.are_stale:
            return None
        self._told = LinkState.UP
        return TranscriberHealth(True, detail)


_SEVERITY = (LinkState.UP, LinkState.LOST, LinkState.MUTE)
