"""The life of a bot in one meeting: states and legal moves, in one table.

Everything that changes the state is in this file. The diagram in `docs/lifecycle.md` is generated from `MOVES`.
"""

from __future__ import annotations

from common.contracts.status import ENDS, State

MOVES: dict[State, frozenset[State]] = {
    State.JOINING: frozenset({State.AWAITING_ADMISSION, State.NEEDS_HELP}) | ENDS,
    State.AWAITING_ADMISSION: frozenset({State.ACTIVE, State.NEEDS_HELP}) | ENDS,
    State.NEEDS_HELP: frozenset({State.AWAITING_ADMISSION, State.ACTIVE}) | ENDS,
    State.ACTIVE: frozenset({State.AWAITING_ADMISSION, State.NEEDS_HELP}) | ENDS,
    State.COMPLETED: frozenset(),
    State.FAILED: frozenset(),
}
"""Consumers of the older wire refuse joining → active: a platform without lobby passes through `awaiting_admission`."""


class IllegalMove(Exception):
    """A bug of ours: the table has no such move. The state is unchanged."""


class Lifecycle:
    """The current state and the way here."""

    def __init__(self) -> None:
        self.state = State.JOINING
        self.history: list[State] = [State.JOINING]

    def move(self, to: State) -> None:
        """Goes to a state. Raises IllegalMove when the table has no such move."""
        if to not in MOVES[self.state]:
            raise IllegalMove(f"{self.state} -> {to}")
        self.state = to
        self.history.append(to)

    @property
    def over(self) -> bool:
        """A terminal state is reached."""
        return not MOVES[self.state]


def mermaid() -> str:
    """The table as a Mermaid state diagram, for the documentation."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.JOINING}"]
    for state, targets in MOVES.items():
        lines += [f"    {state} --> {target}" for target in State if target in targets]
        if not targets:
            lines.append(f"    {state} --> [*]")
    return "\n".join(lines) + "\n"
