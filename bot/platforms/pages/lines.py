"""Chat messages and captions, from look to look: which lines are new, and which captions nobody adds to any more."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.platforms.pages.look import Line

CAPTION_QUIET_S = 1.5
"""A caption that has not grown for so long is said in full."""


def new_lines(before: tuple[Line, ...], after: tuple[Line, ...]) -> tuple[Line, ...]:
    """The lines at the end of `after` that `before` did not have; both are the last ones of a list that grows."""
    for overlap in range(min(len(before), len(after)), 0, -1):
        if before[-overlap:] == after[:overlap]:
            return after[overlap:]
    return after


@dataclass(slots=True)
class Captions:
    """Captions grow while somebody speaks: each is said once, when it is whole."""

    _last: tuple[Line, ...] = ()
    _changed_at: float = 0.0
    _said: set[tuple[str, str]] = field(default_factory=set)

    def look(self, lines: tuple[Line, ...], now: float) -> list[Line]:
        """The captions that are whole now: all but the last at once, that one when it has not grown for a while."""
        if lines != self._last:
            self._last, self._changed_at = lines, now
        quiet = now - self._changed_at >= CAPTION_QUIET_S
        whole = [line for line in (lines if quiet else lines[:-1]) if (line.author, line.text) not in self._said]
        self._said = {key for key in self._said if any(key == (line.author, line.text) for line in lines)}
        self._said |= {(line.author, line.text) for line in whole}
        return whole
