"""The plan of callbacks: what a manager is still to be told, in order, each status once, the end at last and only once.

A manager takes only moves of its own table. So a bot that fails before it joins says `joining` first where the manager
wants that, and what has no place in the manager's table (back in the lobby) is not said.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from common.contracts.events import StatusEvent
from common.contracts.generations import Generation, ending, way
from common.contracts.status import ENDS, State


@dataclass(frozen=True, slots=True)
class Step:
    """One status to tell.

    Args:
        state: In our word.
        event: Because of which.
        was_active: Whether the bot was in the meeting before, as far as the manager is told.
    """

    state: State
    event: StatusEvent
    was_active: bool

    @property
    def is_end(self) -> bool:
        """Nothing follows it."""
        return self.event.code is not None and self.state in ENDS


class CallbackPlan:
    """Bound: a state is planned once at most, so there are never more steps than states.

    Args:
        generation: The manager's.
    """

    def __init__(self, generation: Generation) -> None:
        self._generation = generation
        self._told: State | None = None
        self._steps: deque[Step] = deque()
        self._untold: dict[State, StatusEvent] = {}  # what was hopeless; a later report may have to pass through it
        self._end: StatusEvent | None = None
        self._is_end_refused = False

    @property
    def next(self) -> Step | None:
        """What to tell now; None: nothing."""
        return self._steps[0] if self._steps else None

    @property
    def is_ending(self) -> bool:
        """The end is to be told, and is not yet."""
        return self._end is not None and bool(self._steps)

    def report(self, event: StatusEvent) -> None:
        """Takes an event in; after an end none counts any more."""
        if self._end is not None:
            return
        self._end = event if event.code is not None else None
        told = self._steps[-1].state if self._steps else self._told
        self._plan(event, told, State.ACTIVE in (told, *self._untold), self._untold)

    def settled(self, taken: bool = True) -> None:
        """The next step was taken, or is hopeless: on to the one after it.

        What was not taken is not told: a later report begins where the manager stands. An end that has no place there,
        since what came before it was not taken, is told once more by the way that has one.
        """
        step = self._steps.popleft()
        if taken:
            self._told = step.state
        elif not step.is_end:
            self._untold[step.state] = step.event
        elif self._untold and not self._is_end_refused:  # once: who takes nothing at all is not to be asked for ever
            self._is_end_refused = True
            self._untold.clear()
            self._plan(step.event, self._told, self._told is State.ACTIVE)

    def hurry(self) -> None:
        """There is little time: from what the manager was told to the end by the shortest way."""
        if self._end is None or not self._steps:
            return
        left_out = self._untold | {step.state: step.event for step in self._steps}
        self._steps.clear()
        self._plan(self._end, self._told, State.ACTIVE in (self._told, *left_out), left_out)

    def _plan(
        self,
        event: StatusEvent,
        told: State | None,
        was_active: bool,
        events: Mapping[State, StatusEvent] = MappingProxyType({}),
    ) -> None:
        """Appends the way to what `event` says; `events`: those of states on the way, which have times of their own."""
        to = event.status if event.code is None else ending(self._generation, event.code, was_active)[0]
        for state in way(self._generation, told, to):
            self._steps.append(Step(state, event if state is to else events.get(state, event), was_active))
