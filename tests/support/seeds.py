"""What chance a test run takes: a seed of the day, printed at its head, and how many rounds of each fault.

`EARSHOT_FAULT_SEED` repeats a run; `EARSHOT_FAULT_ROUNDS` above 1 (`make faults`) also gives outages their full length.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

ROUNDS = int(os.environ.get("EARSHOT_FAULT_ROUNDS", "1"))
FULL = ROUNDS > 1
"""Outages last as long as `docs/reliability.md` says; else they are shortened."""

SEED = int(os.environ.setdefault("EARSHOT_FAULT_SEED", str(datetime.now(UTC).date().toordinal())))
"""The run's first one. Its workers get it from the environment: midnight may come between."""


def seeds() -> range:
    """One for each round."""
    return range(SEED, SEED + ROUNDS)


def headline() -> str:
    """For the head of a test run."""
    return f"faults: EARSHOT_FAULT_SEED={SEED} repeats this run's chances; {ROUNDS} round(s)"
