"""The table of states."""

from __future__ import annotations

import pytest

from bot.core.lifecycle import MOVES, IllegalMove, Lifecycle, mermaid
from common.contracts.status import State


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("to", State)
def test_only_moves_of_the_table(state: State, to: State) -> None:
    """A move not in the table is refused and changes nothing."""
    lifecycle = Lifecycle()
    lifecycle.state = state
    if to in MOVES[state]:
        lifecycle.move(to)
        assert lifecycle.state is to
        assert lifecycle.history[-1] is to
    else:
        with pytest.raises(IllegalMove):
            lifecycle.move(to)
        assert lifecycle.state is state


def test_terminal_states_are_over() -> None:
    """Exactly completed and failed are the end."""
    for state in State:
        lifecycle = Lifecycle()
        lifecycle.state = state
        assert lifecycle.over == (state in (State.COMPLETED, State.FAILED))


def test_the_diagram_shows_every_move() -> None:
    """The documentation's diagram is the table."""
    diagram = mermaid()
    assert diagram.count("-->") == 1 + sum(len(targets) or 1 for targets in MOVES.values())
