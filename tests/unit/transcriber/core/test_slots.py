"""Whose place a newcomer gets."""

from __future__ import annotations

import pytest

from transcriber.core.slots import IDLE_S, Slot, giving_way

NOW = 1000.0
IDLE = NOW - IDLE_S


def held(*slots: tuple[str, float]) -> dict[int, Slot]:
    """Clients by number, each with an address and when it was heard."""
    return {number: Slot(address, at) for number, (address, at) in enumerate(slots)}


def test_who_says_nothing_from_an_address_with_most_slots_gives_way() -> None:
    """The one that has been idle for longest."""
    slots = held(("a", IDLE), ("b", IDLE - 50), ("a", IDLE - 9), ("a", NOW))
    assert giving_way(slots, "c", NOW) == 2
    assert giving_way(slots, "b", NOW) == 2


@pytest.mark.parametrize(
    ("slots", "newcomer"),
    [
        ([("a", IDLE + 0.1), ("a", NOW)], "c"),
        ([("a", IDLE), ("b", IDLE)], "c"),
        ([("a", IDLE), ("a", IDLE)], "a"),
        ([], "c"),
    ],
    ids=["speaking", "half of the slots", "the same address", "no slots at all"],
)
def test_nobody_else_does(slots: list[tuple[str, float]], newcomer: str) -> None:
    """The newcomer is told to wait."""
    assert giving_way(held(*slots), newcomer, NOW) is None
