"""Slots of clients: which one a newcomer gets when all are taken: no address may hold them all in silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

IDLE_S = 30.0
"""Seconds without a second of sound after which a slot may be given to somebody else."""

Client = TypeVar("Client", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Slot:
    """What is known of a client that has one."""

    address: str
    """One host, or one network: whatever counts as one."""
    sounded_at: float
    """When it last had sent another second of sound, or got the slot, in seconds on any clock."""


def giving_way(slots: Mapping[Client, Slot], newcomer: str, now: float) -> Client | None:
    """The client whose slot a newcomer from this address may have, None: nobody's.

    It is the one that has been idle for longest among those of an address that has more than half of the slots. Others
    of the same address wait their turn: behind a proxy all clients have one.
    """
    [(greedy, count)] = Counter(slot.address for slot in slots.values()).most_common(1) or [("", 0)]
    if count <= len(slots) / 2 or newcomer == greedy:
        return None
    idle = {client: slot.sounded_at for client, slot in slots.items() if slot.address == greedy}
    longest = min(idle, key=idle.__getitem__)
    return longest if now - idle[longest] >= IDLE_S else None
