"""Numbers that a test measures beside its verdict, for `bench/faults.py` and through it for docs/reliability.md."""

from __future__ import annotations

import json
import os

RESULTS = "EARSHOT_FAULT_RESULTS"
"""Names the file that they are added to, a line of JSON each; without it they are only printed."""


def note(test: str, seed: int, **numbers: float) -> None:
    """Writes down what was measured.

    Args:
        test: Name of the test function.
        seed: Of this round.
        numbers: Name with its unit at the end → value.
    """
    line = json.dumps({"test": test, "seed": seed} | {name: round(value, 3) for name, value in numbers.items()})
    print(line)  # noqa: T201 - pytest shows it beside a failure
    if path := os.environ.get(RESULTS):
        with open(path, "a", encoding="utf-8") as file:
            file.write(line + "\n")


MOST_STRETCH = 5.0
"""The most that a busy machine excuses."""


def in_time(seconds: float, promised_s: float) -> bool:
    """Whether something was as quick as promised; where more wants to run than there are cores, by so much later."""
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    return seconds < promised_s * min(max(1.0, load), MOST_STRETCH)
