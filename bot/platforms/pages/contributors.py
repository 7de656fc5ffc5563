"""Contributors: whose voice a contributing source (CSRC, RFC 3550 section 5.1) is, learnt from whom the page shows.

A server that sends few streams for many people says in each packet whose voice is in it, exactly, by a number; the
page shows names, late. A number is taken for a person's when, turn after turn, it was the only one that sounded for
as long as the page may be late, and that person the only one shown. Nothing else is evidence: not several at once, not
sound without a number, not a page that shows nobody. What contradicts takes back what was learnt, and asks for more;
what may contradict, as somebody is shown of whom there is no voice, withholds names until that is clear.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

LATE_S = 2.0
"""Seconds by which the page may be late in showing who speaks, and that they do no longer: so long one voice alone
must have sounded."""
PAUSE_S = 1.0
"""Seconds of silence after which a source's next sound is another turn."""
AGREEING_TURNS = 2
"""Turns that agree before a source has a name; as many more for each time that it was contradicted."""
MAX_SOURCES = 256
"""Sources remembered, about 200 bytes each. Policy when full: the one that sounded the longest ago is forgotten."""
NUMBERLESS = ""
"""In the place of a source: sound without one."""


@dataclass(slots=True)
class _Source:
    sounded_at: float
    turn: int = 0
    person: str | None = None
    """The one candidate."""
    turns: int = 0
    """Turns in which they were shown, ..."""
    last_turn: int = -1
    """... the last of which was this."""
    rested: bool = True
    """They were not shown once since: who is always shown is no evidence."""
    contradictions: int = 0
    is_doubtful: bool = False
    """It may be somebody else's by now."""

    @property
    def is_known(self) -> bool:
        return self.person is not None and self.turns >= AGREEING_TURNS * (1 + self.contradictions)

    def contradict(self) -> None:
        self.person, self.turns, self.contradictions = None, 0, self.contradictions + 1


class Contributors:
    """The sources of one meeting, as long as we are in it.

    Args:
        now: Monotonic seconds from which on everything is heard.
    """

    def __init__(self, now: float) -> None:
        self._since = now
        self._sources: dict[str, _Source] = {}  # in the order in which they sounded last
        self._shown: frozenset[str] = frozenset()

    def sounds(self, sources: Collection[str], now: float) -> None:
        """There is sound in a packet with these sources; none: nobody can say whose."""
        for number in sources or (NUMBERLESS,):
            source = self._sources.pop(number, None)
            if source is None:
                source = _Source(now)
            elif now - source.sounded_at > PAUSE_S:
                source.turn += 1
            source.sounded_at = max(source.sounded_at, now)
            self._sources[number] = source
        if len(self._sources) > MAX_SOURCES:
            del self._sources[next(iter(self._sources))]

    def shown(self, people: Collection[str], now: float) -> None:
        """The page shows that these people speak, and nobody else."""
        for source in self._sources.values():
            source.rested |= source.person not in people
        self._doubt(set(people) - self._shown, people, now)
        self._shown = frozenset(people)
        alone = [number for number, source in self._sources.items() if now - source.sounded_at <= LATE_S]
        if now - self._since < LATE_S or len(alone) != 1 or alone[0] == NUMBERLESS or not people:
            return
        source = self._sources[alone[0]]
        if source.person is not None and source.person not in people:
            source.contradict()
        else:
            source.is_doubtful = False
            if len(people) == 1:
                self._agree(source, next(iter(people)))

    def _doubt(self, new: Collection[str], people: Collection[str], now: float) -> None:
        """Somebody new is shown: if it is nobody's voice that there was, one of these may be theirs by now."""
        voices = [one for one in self._sources.values() if now - one.sounded_at <= LATE_S + PAUSE_S]
        if not voices or not all(one.is_known for one in voices) or set(new) <= {one.person for one in voices}:
            return
        for one in voices:
            one.is_doubtful |= one.person not in people

    def _agree(self, source: _Source, person: str) -> None:
        """A source and a person go together, once more; a person has one voice."""
        others = [one for one in self._sources.values() if one.person == person and one is not source]
        if others:
            for one in (source, *others):
                one.contradict()
        elif source.person is None:
            source.person, source.turns, source.last_turn, source.rested = person, 1, source.turn, False
        elif source.turn != source.last_turn and source.rested:
            source.turns, source.last_turn, source.rested = source.turns + 1, source.turn, False

    def person(self, sources: Collection[str]) -> str | None:
        """Whose voice is in a packet with these sources; None: several, or not known."""
        if len(sources) != 1:
            return None
        source = self._sources.get(next(iter(sources)))
        return source.person if source is not None and source.is_known and not source.is_doubtful else None

    def left(self, person: str) -> None:
        """Somebody is not here any more: their number may be somebody else's next."""
        for source in self._sources.values():
            if source.person == person:
                source.person, source.turns = None, 0
