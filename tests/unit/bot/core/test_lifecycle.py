"""The table of states."""

from __future__ import annotations

import pytest

from bot.core.events import Status
from bot.core.lifecycle import MOVES, IllegalMove, Lifecycle, mermaid


@pytest.mark.parametrize("state", Status)
@pytest.mark.parametrize("to", Status)
def test_only_moves_of_the_table(state: Status, to: Status) -> None:
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
    for state in Status:
        lifecycle = Lifecycle()
        lifecycle.state = state
        assert lifecycle.over == (state in (Status.COMPLETED, Status.FAILED))


def test_the_diagram_shows_every_move() -> None:
    """The documentation's diagram is the table."""
    diagram = mermaid()
    assert diagram.count("-->") == 1 + sum(len(targets) or 1 for targets in MOVES.values())
