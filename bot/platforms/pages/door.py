"""The door of a meeting: name, passcode, devices, join, in this order.

Each step has a precondition (its control is there and free), an action, a proof and a bound on tries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bot.platforms.pages.acts import Click, Do, Fill, Note
from bot.platforms.pages.look import Look, Spot

PROOF_S = 2.0
"""An action has so long to show, then it is tried again."""
TRIES = 3
NOT_STARTED_S = 240.0
"""A meeting that has not begun is waited for."""


@dataclass(frozen=True, slots=True)
class Guest:
    """Who joins.

    Args:
        name: Shown to the others.
        passcode: Of the meeting.
        can_be_helped: Somebody can see the page and act in it.
        not_started_s: How long a meeting that has not begun is waited for.
    """

    name: str
    passcode: str | None = field(default=None, repr=False)
    can_be_helped: bool = False
    not_started_s: float = NOT_STARTED_S


@dataclass(frozen=True, slots=True)
class Step:
    """One step at the door. It is due while its control is there; what it fills in must be in the field then."""

    control: str
    fill: Callable[[Guest], str | None] | None = None
    """What is typed; None: it is clicked, and proved by its control being gone, or the whole door."""
    is_needed: bool = False
    """Without it there is no joining."""


STEPS = (
    Step("name", lambda guest: guest.name, is_needed=True),
    Step("passcode", lambda guest: guest.passcode, is_needed=True),
    Step("camera"),
    Step("microphone"),
    Step("join", is_needed=True),
)
"""At the door, in this order; the first one that is due is taken."""


class Door:
    """What was tried at one door. Time is monotonic seconds.

    Args:
        guest: Who joins.
    """

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._tries: dict[str, tuple[int, float]] = {}  # of each control: so many, the last one when
        self._given_up: set[str] = set()

    def forget(self) -> None:
        """Another door is another one."""
        self._tries.clear()
        self._given_up.clear()

    @property
    def is_shut(self) -> bool:
        """Whether the button that joins was tried in vain."""
        return "join" in self._given_up

    def clear_the_way(self, look: Look, now: float) -> list[Do]:
        """Whatever lies over the page and may be put away is."""
        spot = look.controls.get("dismiss")
        how = look.found.get("dismiss", "")
        return [Click("dismiss", spot)] if spot is not None and self._may_try(f"dismiss {how}", spot, now) else []

    def wants(self, look: Look) -> str | None:
        """A field for what the guest has not, where it is the next step; None: there is none."""
        step = self._next(look)
        lacks = step is not None and step.fill is not None and step.fill(self._guest) is None
        return step.control if step is not None and lacks else None

    def step(self, look: Look, now: float) -> list[Do]:
        """The next step, or nothing while the one before is not proved."""
        step = self._next(look)
        if step is None or (step.fill is not None and step.fill(self._guest) is None):
            return []
        spot, text = look.controls[step.control], step.fill(self._guest) if step.fill is not None else None
        if self._may_try(step.control, spot, now):
            return [Fill(step.control, spot, text) if text is not None else Click(step.control, spot)]
        made, last = self._tries.get(step.control, (0, now))
        if made >= TRIES and now - last >= PROOF_S:
            self._given_up.add(step.control)
            return [Note("the page did not take it", step.control)]
        return []

    def _next(self, look: Look) -> Step | None:
        """The first step whose control is there and that is not proved.

        One that is not needed and cannot be tried (its control is not free yet) is left out until it was tried.
        """
        for step in STEPS:
            spot = look.controls.get(step.control)
            if spot is None or step.control in self._given_up:
                continue
            text = step.fill(self._guest) if step.fill is not None else None
            if text is not None and spot.value == text:
                continue
            if step.is_needed or step.control in self._tries or spot.is_free:
                return step
        return None

    def _may_try(self, what: str, spot: Spot, now: float) -> bool:
        made, last = self._tries.get(what, (0, float("-inf")))
        if not spot.is_free or made >= TRIES or now - last < PROOF_S:
            return False
        self._tries[what] = made + 1, now
        return True
